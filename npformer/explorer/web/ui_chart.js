// Small drawings: the curve of an activation with one point on it, a bar beside zero, a frame.

import { h, svg, figure } from "./ui_dom.js";

/** A bar to the left or right of zero; stripes on the left, so that color is not needed. */
export function pole(value, scale) {
  const width = `${Math.min(50, (50 * Math.abs(value)) / (scale || 1))}%`;
  return h(
    "span",
    { class: "pole", "aria-hidden": "true" },
    h("i", { class: value < 0 ? "minus" : "plus", style: `width:${width}` }),
  );
}

/** Two frames, one in the other, so that they are seen on any ground. */
export function frame(x, y, width, height) {
  return ["field outer", "field"].map((name) => svg("rect", { class: name, x, y, width, height }));
}

/** How far a chart of a function reaches around zero, so that a point lies well inside. */
export function reach(x) {
  return Math.max(3, Math.abs(x) * 1.25);
}

/** A curve, {x, y} as lists, with one point (x, y) of it marked. */
export function chart(curve, x, y, name) {
  const span = reach(x);
  const low = Math.min(-0.3, y, ...curve.y);
  const high = Math.max(0.3, y, ...curve.y);
  const [W, H, edge] = [320, 190, 20];
  const px = (v) => edge + ((v + span) / (2 * span)) * (W - 2 * edge);
  const py = (v) => H - edge - ((v - low) / (high - low)) * (H - 2 * edge);
  const path = Array.from(
    curve.x,
    (v, i) => `${i ? "L" : "M"}${px(v).toFixed(1)} ${py(curve.y[i]).toFixed(1)}`,
  );
  return svg(
    "svg",
    {
      class: "chart",
      viewBox: `0 0 ${W} ${H}`,
      role: "img",
      "aria-label": `The curve of ${name}. At ${figure(x)} it is ${figure(y)}.`,
    },
    svg("path", { class: "axis", d: `M${edge} ${py(0)}H${W - edge}M${px(0)} ${edge}V${H - edge}` }),
    svg("path", { class: "curve", d: path.join("") }),
    svg("path", { class: "guide", d: `M${px(x)} ${py(0)}V${py(y)}H${px(0)}` }),
    svg("circle", { class: "point", cx: px(x), cy: py(y), r: 6 }),
    svg("text", { x: edge, y: edge - 5 }, `${name}(${figure(x, 4)}) = ${figure(y, 4)}`),
  );
}
