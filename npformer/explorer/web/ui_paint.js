// The photograph as the network sees it, to be painted on: dabs of a round brush on its own pixels.

import { h, oncePerFrame } from "./ui_dom.js";

/** The colors of the brush. Gray is the mean of all photographs: what is 0 in the network, nearly. */
export const PAINTS = [
  ["gray", "gray"],
  ["000000", "black"],
  ["ffffff", "white"],
  ["d03020", "red"],
  ["2060c0", "blue"],
];

const GRAY = [124, 116, 104];

/** Red, green and blue of a color of the brush. */
export function paintOf(name) {
  return name === "gray" ? GRAY : [0, 2, 4].map((i) => parseInt(name.slice(i, i + 2), 16));
}

/**
 * Paint dabs on {width, height, data: RGBA}: a new one. A pixel belongs to a dab if its place is at
 * most the radius away.
 */
export function painted({ width, height, data }, dabs) {
  const result = data.slice();
  for (const { y, x, radius, color } of dabs) {
    const rgb = paintOf(color);
    for (let row = Math.max(0, y - radius); row <= Math.min(height - 1, y + radius); row += 1)
      for (let column = Math.max(0, x - radius); column <= Math.min(width - 1, x + radius); column += 1)
        if ((row - y) ** 2 + (column - x) ** 2 <= radius * radius)
          result.set(rgb, (row * width + column) * 4);
  }
  return { width, height, data: result };
}

/**
 * A photograph that the network's own preparation turns into exactly these pixels: they lie in the
 * middle of a frame, which the resize leaves as it is and the crop cuts off. `whole` is the length
 * that the shorter side of a photograph gets before the crop.
 */
export function framed({ width, height, data }, whole, start) {
  const side = Math.max(whole, width, height);
  if (side === width && side === height) return { width, height, data };
  const result = new Uint8ClampedArray(side * side * 4).fill(255);
  const [top, left] = [start, start];
  for (let y = 0; y < height; y += 1)
    result.set(data.subarray(y * width * 4, (y + 1) * width * 4), ((top + y) * side + left) * 4);
  return { width: side, height: side, data: result };
}

/** Draw such pixels. */
export function drawPixels(canvas, { width, height, data }) {
  canvas.width = width;
  canvas.height = height;
  canvas.getContext("2d").putImageData(new ImageData(new Uint8ClampedArray(data), width, height), 0, 0);
}

/**
 * Make the canvas that is painted on, by pointer or by keys.
 *
 * size() gives { width, height } of the pixels, brush() { radius, color }; paint(dabs) is told of new
 * dabs, moved(place) where the brush stands, null when it left.
 */
export function easel({ size, brush, paint, moved }) {
  const canvas = h("canvas", {
    class: "ground",
    id: "easel",
    tabindex: "0",
    role: "application",
    "aria-label": "Photograph, to paint on. Arrow keys move the brush, the space bar paints.",
  });
  const inside = (v, length) => Math.max(0, Math.min(length - 1, v));
  const waiting = [];
  const flush = oncePerFrame(() => paint(waiting.splice(0)));
  let last = null;
  let at = null;

  function dab({ y, x }) {
    const { radius, color } = brush();
    if (last && Math.hypot(y - last.y, x - last.x) < Math.max(1, radius / 2)) return;
    last = { y, x };
    waiting.push({ y, x, radius, color });
    flush();
  }
  function place(event) {
    const box = canvas.getBoundingClientRect();
    const { width, height } = size();
    return {
      y: inside(Math.floor(((event.clientY - box.top) / box.height) * height), height),
      x: inside(Math.floor(((event.clientX - box.left) / box.width) * width), width),
    };
  }
  canvas.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    canvas.setPointerCapture(event.pointerId);
    last = null;
    at = place(event);
    dab(at);
  });
  canvas.addEventListener("pointermove", (event) => {
    at = place(event);
    moved(at);
    if (canvas.hasPointerCapture(event.pointerId)) dab(at);
  });
  canvas.addEventListener("pointerleave", () => moved(null));
  canvas.addEventListener("blur", () => moved(null));
  canvas.addEventListener("keydown", (event) => {
    const { width, height } = size();
    at ??= { y: Math.floor(height / 2), x: Math.floor(width / 2) };
    const step = event.shiftKey ? 10 : 3;
    const go = { ArrowUp: [-step, 0], ArrowDown: [step, 0], ArrowLeft: [0, -step], ArrowRight: [0, step] }[
      event.key
    ];
    if (go) at = { y: inside(at.y + go[0], height), x: inside(at.x + go[1], width) };
    else if (event.key === " ") {
      last = null;
      dab(at);
    } else return;
    event.preventDefault();
    moved(at);
  });
  return canvas;
}
