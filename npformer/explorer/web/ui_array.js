// A tensor: its channels as pictures, one of them large, and any of its numbers.

import { h, svg, figure, counted } from "./ui_dom.js";
import { drawChannel, largest, legend, liveliest } from "./ui_pictures.js";
import { frame } from "./ui_chart.js";
import { gridOf, ofClasses, placeWords } from "./ui_places.js";
import { numberView } from "./ui_number.js";
import { shortName, sourceView } from "./ui_block.js";
import { sizeWords, titleOf } from "./ui_map.js";

const THUMBNAILS = 40; // channels shown as small pictures

/** Show a tensor, and the number at an index of it. */
export async function arrayView(app, step, tensor, index) {
  const { network } = app.explorer;
  const grid = gridOf(tensor, network);
  const made = step.tensors.find(({ path }) => path === tensor.path);
  const listed = grid.rows * grid.columns === 1;
  return [
    h("h2", { id: "level-title" }, `${titleOf(step)}: `, h("code", {}, shortName(tensor.path, step.path))),
    h(
      "p",
      { class: "soft" },
      `${sizeWords(tensor)}. Choose any number: by pointer, with the arrow keys, or in the fields.`,
    ),
    h(
      "div",
      { class: "twofold" },
      h(
        "section",
        { class: "card", "aria-label": "The array" },
        listed ? listView(app, tensor, index) : placeView(app, tensor, grid, index),
        channelTools(app, tensor, grid, index),
      ),
      await numberView(app, tensor.path, index),
    ),
    made ? sourceView(app, made.layer) : null,
  ];
}

/** One channel, large: choose a place in it. */
function placeView(app, tensor, grid, index) {
  const [row, column, channel] = grid.place(index);
  const scale = largest(grid, channel);
  const canvas = h("canvas", {
    id: "places",
    tabindex: "0",
    role: "application",
    "aria-label": `Channel ${channel}. Arrow keys choose a place; chosen: ${placeWords(index, tensor.path)}, value ${figure(grid.at(row, column, channel))}`,
  });
  drawChannel(canvas, grid, channel, scale);
  const choose = (y, x) => {
    const inside = y >= 0 && y < grid.rows && x >= 0 && x < grid.columns;
    if (inside && (y !== row || x !== column))
      app.go({ place: grid.index(y, x, channel) }, { replace: true });
  };
  canvas.addEventListener("click", (event) => {
    const box = canvas.getBoundingClientRect();
    choose(
      Math.floor(((event.clientY - box.top) / box.height) * grid.rows),
      Math.floor(((event.clientX - box.left) / box.width) * grid.columns),
    );
  });
  canvas.addEventListener("keydown", (event) => {
    const go = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    if (!go) return;
    event.preventDefault();
    choose(row + go[0], column + go[1]);
  });
  return [
    h(
      "div",
      { class: "large", style: `aspect-ratio:${grid.columns}/${grid.rows}` },
      canvas,
      svg(
        "svg",
        { viewBox: `0 0 ${grid.columns} ${grid.rows}`, preserveAspectRatio: "none", "aria-hidden": "true" },
        frame(column, row, 1, 1),
      ),
    ),
    legend(scale),
  ];
}

/** A list of numbers: the largest and the smallest, as bars. */
function listView(app, tensor, index) {
  const { labels } = app.explorer.network;
  const chosen = index.at(-1);
  const order = Array.from(tensor.data, (value, i) => ({ value, i })).sort((a, b) => b.value - a.value);
  const shown = order.length > 24 ? [...order.slice(0, 14), ...order.slice(-8)] : order;
  if (!shown.some(({ i }) => i === chosen)) shown.splice(14, 0, { value: tensor.data[chosen], i: chosen });
  const most = Math.max(...order.map(({ value }) => Math.abs(value))) || 1;
  return h(
    "div",
    { class: "scroll", tabindex: "0", role: "group", "aria-label": "Numbers of the list" },
    h("p", { class: "small soft" }, order.length > 24 ? "The largest and the smallest:" : null),
    h(
      "table",
      {},
      h(
        "tbody",
        {},
        shown.map(({ value, i }) =>
          h(
            "tr",
            { class: i === chosen ? "chosen" : null },
            h(
              "td",
              {},
              app.link(
                { place: [i] },
                { "aria-current": i === chosen ? "true" : null },
                ofClasses(tensor.path) ? labels[i] : `channel ${i}`,
              ),
            ),
            h("td", { class: "number" }, figure(value, 3)),
            h(
              "td",
              {},
              h(
                "span",
                { class: "bar", "aria-hidden": "true", style: "display:block;width:5rem" },
                h("i", { style: `width:${(100 * Math.abs(value)) / most}%` }),
              ),
            ),
          ),
        ),
      ),
    ),
  );
}

/** Fields for row, column and channel; the liveliest channels as pictures; what can be changed. */
function channelTools(app, tensor, grid, index) {
  const place = grid.place(index);
  const limits = [grid.rows, grid.columns, grid.channels];
  const fields = grid.words.map((word, i) => {
    if (limits[i] === 1) return null;
    const field = h("input", {
      type: "number",
      id: `field-${i}`,
      min: 0,
      max: limits[i] - 1,
      value: place[i],
    });
    field.addEventListener("change", () => {
      const value = Math.max(0, Math.min(limits[i] - 1, Math.round(Number(field.value) || 0)));
      app.go({ place: grid.index(...place.map((old, k) => (k === i ? value : old))) }, { replace: true });
    });
    return h("label", {}, ofClasses(tensor.path) ? "class" : word, field);
  });
  const channel = place[2];
  const thumbnails =
    grid.rows * grid.columns > 1
      ? liveliest(grid, THUMBNAILS).map((c) => {
          const canvas = h("canvas", { "aria-hidden": "true" });
          drawChannel(canvas, grid, c);
          return h(
            "button",
            {
              type: "button",
              id: `channel-${c}`,
              "aria-pressed": c === channel,
              "aria-label": `Channel ${c}`,
              onclick: () => app.go({ place: grid.index(place[0], place[1], c) }, { replace: true }),
            },
            canvas,
            String(c),
          );
        })
      : [];
  return [
    h("fieldset", { class: "row" }, h("legend", { class: "unseen" }, "Place"), fields),
    thumbnails.length
      ? [
          h(
            "p",
            { class: "small soft" },
            grid.channels > THUMBNAILS
              ? `The ${THUMBNAILS} of ${counted(grid.channels, "channel")} that vary most:`
              : `All ${counted(grid.channels, "channel")}:`,
          ),
          h(
            "div",
            {
              class: "channels",
              id: "channels",
              "data-keep-scroll": true,
              tabindex: "0",
              role: "group",
              "aria-label": "Channels",
            },
            thumbnails,
          ),
        ]
      : null,
    changeTools(app, tensor, channel),
  ];
}

/** Switch off a channel of this tensor, or add noise to all of it. */
function changeTools(app, tensor, channel) {
  const path = tensor.path;
  if (ofClasses(path)) return null;
  const off = { kind: "channel", path, channel };
  const noise = app.changeLike({ kind: "noise", path });
  const slider = h("input", {
    type: "range",
    id: "noise",
    min: 0,
    max: 3,
    step: 0.25,
    value: noise?.strength ?? 0,
  });
  slider.addEventListener("change", () =>
    Number(slider.value) === 0
      ? app.unchange({ kind: "noise", path })
      : app.change({ kind: "noise", path, strength: Number(slider.value), seed: 1 }),
  );
  const on = app.changeLike(off) !== undefined;
  return h(
    "fieldset",
    { class: "row" },
    h("legend", {}, "Change this array"),
    h(
      "button",
      { type: "button", class: "off", id: "channel-off", "aria-pressed": on, onclick: () => app.toggle(off) },
      `Channel ${channel} to 0`,
    ),
    h("label", {}, "Noise", slider, h("span", { class: "number" }, `${noise?.strength ?? 0} ×`)),
  );
}
