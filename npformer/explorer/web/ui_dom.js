// Small tools of the page: elements, numbers, words.

/** What the page has under an id. */
export function element(id) {
  return document.getElementById(id);
}

/** Make an element: h("button", { class: "quiet", onclick: f }, "text", child, …). */
export function h(tag, attributes, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

/** Make an element of a drawing. */
export function svg(tag, attributes, ...children) {
  return filled(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined) continue;
    if (value === false && !name.startsWith("aria-")) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "value" || name === "checked") element[name] = value;
    else element.setAttribute(name, value === true && !name.startsWith("aria-") ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return element;
}

/** Put new children into an element; what had the focus keeps it, found by its id. */
export function replaceChildren(parent, ...children) {
  const focused = parent.contains(document.activeElement) ? document.activeElement : null;
  const id = focused?.id;
  const scrolled = [...parent.querySelectorAll("[data-keep-scroll]")].map((e) => [
    e.id,
    e.scrollLeft,
    e.scrollTop,
  ]);
  parent.replaceChildren(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  for (const [kept, left, top] of scrolled) document.getElementById(kept)?.scrollTo(left, top);
  if (id) document.getElementById(id)?.focus({ preventScroll: true });
}

/** A number as people read it: five digits, a real minus sign. */
export function figure(value, digits = 5) {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? "not a number" : value > 0 ? "∞" : "−∞";
  const size = Math.abs(value);
  let text;
  if (size === 0) text = "0";
  else if (size < 1e-4 || size >= 1e6) text = value.toExponential(digits - 1);
  else text = value.toFixed(Math.max(0, digits - 1 - Math.floor(Math.log10(size))));
  return text.replaceAll("-", "−");
}

/** The same with its sign always shown. */
export function signed(value, digits = 5) {
  return (value > 0 ? "+" : "") + figure(value, digits);
}

/** A share as a percentage. */
export function percent(share) {
  return `${(100 * share).toFixed(1)} %`;
}

/** "1 place", "2 places". */
export function counted(count, one, many = `${one}s`) {
  return `${count.toLocaleString("en")} ${count === 1 ? one : many}`;
}

/** Whether the reader asked for little motion. */
export function calm() {
  return matchMedia("(prefers-reduced-motion: reduce)").matches;
}

/** Run a function at most once per frame of the screen, with the latest arguments. */
export function oncePerFrame(work) {
  let latest = null;
  return (...values) => {
    if (latest === null)
      requestAnimationFrame(() => {
        const now = latest;
        latest = null;
        work(...now);
      });
    latest = values;
  };
}

/** Change from light to dark, or back. */
export function darker() {
  const root = document.documentElement;
  const dark = root.style.colorScheme
    ? root.style.colorScheme === "dark"
    : matchMedia("(prefers-color-scheme: dark)").matches;
  root.style.colorScheme = dark ? "light" : "dark";
}
