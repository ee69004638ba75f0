// Interventions in words, the list of those that are on, and what matters: all in turn.

import { h, figure, percent, signed, replaceChildren } from "./ui_dom.js";
import { pole } from "./ui_chart.js";
import { placeWords } from "./ui_places.js";
import { titleOf } from "./ui_map.js";
import { curveName } from "./ui_switch.js";

/** An intervention as a person would say it. */
export function changeWords(app, change) {
  const step = app.stepOf(change.path);
  const where = step ? titleOf(step) : change.path;
  const half = change.path?.endsWith("ls1") ? "mixing" : "work on each place";
  switch (change.kind) {
    case "block":
      return `${where} off`;
    case "branch":
      return `${where}: ${half} off`;
    case "head":
      return `${where}: head ${change.head} off`;
    case "biases":
      return `${where}: no attention biases`;
    case "subtraction":
      return `${where}: pooling without subtraction`;
    case "scale":
      return `${where}: layer scale of the ${half} is 1`;
    case "channel":
      return `${change.path}: channel ${change.channel} is 0`;
    case "activation":
      return `${change.path === "*" ? "Every block" : where}: ${curveName(change.activation)} for ${curveName(app.explorer.network.config.hidden_act)}`;
    case "noise":
      return `${change.path}: noise of ${figure(change.strength, 2)} deviations`;
    case "value":
      return `${change.path}: ${placeWords(change.index, change.path, app.explorer.network.labels)} is ${figure(change.value)}`;
    default:
      return change.kind;
  }
}

/** The list of what is changed, with a way back for each and for all. */
export function changesView(app) {
  const changes = app.changes();
  const painted = app.state.paint.length > 0;
  if (!changes.length && !painted) return null;
  return h(
    "section",
    { class: "card", "aria-labelledby": "changed-title" },
    h("h2", { id: "changed-title" }, "Changed"),
    h(
      "ul",
      { style: "padding-left:0;list-style:none;margin:0.2rem 0 0.6rem" },
      changes.map((change, i) =>
        h(
          "li",
          { class: "row" },
          h(
            "button",
            {
              type: "button",
              id: `undo-${i}`,
              "aria-label": `Take back: ${changeWords(app, change)}`,
              onclick: () => app.unchange(change),
            },
            "✕",
          ),
          h("span", { style: "flex:1;overflow-wrap:anywhere" }, changeWords(app, change)),
        ),
      ),
      painted ? h("li", { class: "row" }, h("span", {}, "The photograph is painted on.")) : null,
    ),
  );
}

/** Every block and head switched off in turn, the strongest effect first. */
export function mattersView(app) {
  const place = h("div", {});
  const known = app.ranked();
  if (known) replaceChildren(place, ranking(app, known));
  const stop = new AbortController();
  const bar = h("progress", { class: "progress", max: "1", value: 0, "aria-label": "Progress" });
  const words = h("p", { class: "small soft", role: "status" });
  const button = h(
    "button",
    { type: "button", class: "main", id: "rank", onclick: run },
    known ? "Again" : "Switch off one after the other",
  );
  let running = false;

  async function run() {
    if (running) {
      stop.abort();
      return;
    }
    running = true;
    button.textContent = "Stop";
    words.after(bar);
    try {
      const progress = (done, all, soFar) => {
        bar.value = done / all;
        words.textContent = `${done} of ${all} switched off and on again`;
        replaceChildren(place, ranking(app, soFar));
      };
      const list = await app.explorer.rank({ kinds: ["block", "head"], progress, signal: stop.signal });
      if (list && !stop.signal.aborted) app.keepRanked(list);
    } catch (error) {
      if (error.name !== "AbortError") throw error;
    }
    await app.refresh();
  }
  app.leaving(() => running && stop.abort());
  return [
    h("h2", { id: "level-title" }, "What matters for this photograph"),
    h(
      "p",
      {},
      "One block or head after the other is switched off, and the network answers once more. What changes the score of the first answer most comes first. It says what this answer rests on, for this photograph alone.",
    ),
    h("div", { class: "row" }, button),
    words,
    place,
  ];
}

function ranking(app, list) {
  const { labels } = app.explorer.network;
  const most = Math.max(...list.map(({ change }) => Math.abs(change)), 1e-9);
  return h(
    "div",
    { class: "scroll", tabindex: "0", role: "group", "aria-label": "What matters" },
    h(
      "table",
      { id: "ranking" },
      h(
        "thead",
        {},
        h(
          "tr",
          {},
          h("th", { scope: "col" }, "switched off"),
          h("th", { scope: "col", class: "number" }, "score"),
          h("td", {}),
          h("th", { scope: "col" }, "answer then"),
          h("td", {}),
        ),
      ),
      h(
        "tbody",
        {},
        list.map((row, i) =>
          h(
            "tr",
            {},
            h(
              "td",
              {},
              app.link(
                { view: app.stepOf(row.path)?.path ?? "map", array: "", place: null },
                {},
                changeWords(app, row.intervention),
              ),
            ),
            h("td", { class: "number" }, `${signed(100 * row.change, 3)} %`),
            h("td", {}, pole(row.change, most)),
            h("td", {}, row.flipped ? h("strong", { class: "change" }, labels[row.first]) : "the same"),
            h(
              "td",
              {},
              h(
                "button",
                {
                  type: "button",
                  id: `try-${i}`,
                  "aria-label": `Try: ${changeWords(app, row.intervention)}`,
                  onclick: () => app.toggle(row.intervention),
                },
                "Try",
              ),
            ),
          ),
        ),
      ),
    ),
  );
}

/** The answer: the likeliest classes, and what the changes did to them. */
export function answerView(app) {
  const { answer, baseline } = app;
  if (!answer) return null;
  const changed = app.changes().length > 0 || app.state.paint.length > 0;
  const [first] = answer.top;
  const was = baseline.top[0];
  return h(
    "section",
    { class: "card", "aria-labelledby": "answer-title" },
    h("h2", { id: "answer-title" }, "The answer"),
    h(
      "ol",
      { class: "answers", id: "answers" },
      answer.top.slice(0, 5).map(({ index, label, score }) => {
        const before = baseline.scores[index];
        return h(
          "li",
          { "data-label": label, "data-score": score },
          h(
            "span",
            { class: "label" },
            h("span", {}, label),
            h(
              "span",
              { class: "number" },
              percent(score),
              changed
                ? [
                    " ",
                    h(
                      "span",
                      { class: "change" },
                      `${score >= before ? "▲" : "▼"} ${Math.abs(100 * (score - before)).toFixed(1)}`,
                    ),
                  ]
                : null,
            ),
          ),
          h(
            "div",
            { class: "bar", "aria-hidden": "true" },
            h("i", { style: `width:${100 * score}%` }),
            changed ? h("b", { style: `left:calc(${100 * before}% - 1px)` }) : null,
          ),
        );
      }),
    ),
    changed
      ? h(
          "p",
          { class: "was", id: "was" },
          was.index === first.index
            ? `Before the changes: ${percent(was.score)}; the answer is the same.`
            : `Before the changes the answer was “${was.label}”, ${percent(was.score)}.`,
        )
      : null,
    changed
      ? h(
          "div",
          { class: "row" },
          h(
            "button",
            { type: "button", class: "main", id: "reset", onclick: () => app.reset() },
            "Reset everything",
          ),
        )
      : null,
  );
}
