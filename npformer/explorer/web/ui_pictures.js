// Arrays as pictures. One map of colors for all: blue below zero, black at zero, gold above. It
// runs evenly in brightness away from zero on both sides, and every value can also be read as text.

import { h, figure } from "./ui_dom.js";

/** Color of a value between −1 and 1: [red, green, blue]. */
export function color(value) {
  const v = Math.max(-1, Math.min(1, Number.isFinite(value) ? value : 0));
  const ramp = v < 0 ? BLUE : GOLD;
  const at = Math.abs(v) * (ramp.length - 1);
  const low = Math.min(Math.floor(at), ramp.length - 2);
  return ramp[low].map((c, i) => Math.round(c + (ramp[low + 1][i] - c) * (at - low)));
}

const GOLD = [
  [18, 18, 22],
  [92, 52, 10],
  [176, 104, 8],
  [238, 170, 42],
  [255, 240, 190],
];
const BLUE = [
  [18, 18, 22],
  [18, 56, 104],
  [22, 104, 178],
  [84, 168, 236],
  [208, 238, 255],
];

/** The same as a style: ground and ink, which is black or white, whichever is read better. */
export function shade(value) {
  const rgb = color(value);
  const [r, g, b] = rgb.map((c) => (c <= 10 ? c / 3294.6 : ((c / 255 + 0.055) / 1.055) ** 2.4)); // WCAG 2, relative luminance
  const ink = 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.179 ? "#000" : "#fff";
  return `background:rgb(${rgb.join(",")});color:${ink}`;
}

/** The largest size of a value in a grid, in one channel or in all; never 0. */
export function largest(grid, channel = null) {
  let most = 0;
  const [first, last] = channel === null ? [0, grid.channels - 1] : [channel, channel];
  for (let c = first; c <= last; c += 1)
    for (let y = 0; y < grid.rows; y += 1)
      for (let x = 0; x < grid.columns; x += 1) most = Math.max(most, Math.abs(grid.at(y, x, c)));
  return most || 1;
}

/** Draw one channel, a pixel of the canvas for each place. */
export function drawChannel(canvas, grid, channel, scale = largest(grid, channel)) {
  canvas.width = grid.columns;
  canvas.height = grid.rows;
  const picture = new ImageData(grid.columns, grid.rows);
  for (let y = 0, i = 0; y < grid.rows; y += 1)
    for (let x = 0; x < grid.columns; x += 1, i += 4)
      picture.data.set([...color(grid.at(y, x, channel) / scale), 255], i);
  canvas.getContext("2d").putImageData(picture, 0, 0);
  return canvas;
}

/** Draw the channels that vary most, as small pictures side by side; a list as a square of values. */
export function drawMosaic(canvas, grid, side = 4) {
  if (grid.rows * grid.columns === 1) return drawList(canvas, grid);
  const shown = liveliest(grid, side * side);
  const across = Math.min(side, Math.ceil(Math.sqrt(shown.length)));
  const gap = Math.max(1, Math.round(grid.rows / 12));
  canvas.width = across * (grid.columns + gap) - gap;
  canvas.height = Math.ceil(shown.length / across) * (grid.rows + gap) - gap;
  const context = canvas.getContext("2d");
  shown.forEach((channel, i) => {
    const tile = drawChannel(document.createElement("canvas"), grid, channel);
    context.drawImage(tile, (i % across) * (grid.columns + gap), Math.floor(i / across) * (grid.rows + gap));
  });
  return canvas;
}

function drawList(canvas, grid) {
  const side = Math.ceil(Math.sqrt(grid.channels));
  const at = (row, column) => (row * side + column < grid.channels ? grid.at(0, 0, row * side + column) : 0);
  return drawChannel(canvas, { rows: side, columns: side, channels: 1, at }, 0);
}

/** Numbers of the channels whose values vary most over the places, in their own order. */
export function liveliest(grid, count) {
  const spread = [];
  for (let c = 0; c < grid.channels; c += 1) {
    let [sum, squares] = [0, 0];
    for (let y = 0; y < grid.rows; y += 1)
      for (let x = 0; x < grid.columns; x += 1) {
        const value = grid.at(y, x, c);
        sum += value;
        squares += value * value;
      }
    const places = grid.rows * grid.columns;
    spread.push([squares / places - (sum / places) ** 2, c]);
  }
  return spread
    .sort((a, b) => b[0] - a[0])
    .slice(0, count)
    .map(([, c]) => c)
    .sort((a, b) => a - b);
}

/** What the colors mean, with the largest value. */
export function legend(scale) {
  const strip = document.createElement("canvas");
  drawChannel(strip, { rows: 1, columns: 65, channels: 1, at: (y, x) => x / 32 - 1 }, 0, 1);
  strip.setAttribute("aria-hidden", "true");
  return h(
    "p",
    { class: "legend" },
    h("span", { class: "number" }, figure(-scale, 3)),
    strip,
    h("span", { class: "number" }, `+${figure(scale, 3)}`),
    h("span", {}, "blue below 0, gold above"),
  );
}
