// A narrow screen: everything below each other, in another order, and the answer always in sight.

import { element, h, percent } from "./ui_dom.js";

/** Put a lesson above the photograph and the other photographs behind all else while the screen is narrow. */
export function arrangeForWidth() {
  const narrow = matchMedia("(max-width: 60rem)"); // as in page.css
  const arrange = () => {
    if (narrow.matches) {
      element("columns").prepend(element("lesson"));
      element("columns").append(element("others"));
    } else {
      element("content").prepend(element("lesson"));
      element("side").append(element("others"));
    }
  };
  arrange();
  narrow.addEventListener("change", arrange);
}

/** The answer in one line, at the edge of a narrow screen; it leads up to the photograph. */
export function briefAnswer({ answer, baseline }) {
  const [{ index, label, score }] = answer.top;
  const before = baseline.scores[index];
  const change =
    Math.abs(score - before) < 5e-4
      ? ""
      : ` ${score > before ? "▲" : "▼"} ${(100 * Math.abs(score - before)).toFixed(1)}`;
  return h(
    "button",
    {
      type: "button",
      id: "brief-answer",
      onclick: () => {
        element("side").scrollIntoView();
        element("easel").focus({ preventScroll: true });
      },
    },
    h("span", { class: "unseen" }, "To the photograph; the answer is "),
    h("strong", {}, label),
    h("span", { class: "number" }, percent(score), h("span", { class: "change" }, change)),
  );
}
