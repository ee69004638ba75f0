// Attention: where a token looks, in each head, and what its scores are made of.

import { h, svg, figure, signed, percent } from "./ui_dom.js";
import { shade, largest, legend } from "./ui_pictures.js";
import { frame } from "./ui_chart.js";
import { drawPixels } from "./ui_paint.js";
import { numberView } from "./ui_number.js";
import { sourceView } from "./ui_block.js";
import { titleOf } from "./ui_map.js";
import { switchButton } from "./ui_switch.js";

/** Show the attention of a block: index is [head, query, key]. */
export async function attentionView(app, step, tensor, index) {
  const [head, query, key] = index;
  const attention = await app.explorer.attention(tensor.path.replace(/\.attn$/, ""), query);
  const { rows, columns, heads } = attention;
  const choose = (change) =>
    app.go({ place: [change.head ?? head, change.query ?? query, change.key ?? key] }, { replace: true });
  return [
    h("h2", { id: "level-title" }, `${titleOf(step)}: attention`),
    h(
      "p",
      {},
      `The photograph is now ${rows} × ${columns} places, called tokens. Each takes something from every other; how much, is decided anew in each head. Choose a token and a head.`,
    ),
    h(
      "div",
      { class: "twofold" },
      h(
        "section",
        { class: "card", "aria-label": "Where the token looks" },
        onPhotograph(app, attention, head, query, choose),
        h(
          "fieldset",
          {},
          h("legend", {}, "Head"),
          h(
            "div",
            { class: "heads" },
            heads.map((_, i) =>
              h(
                "button",
                {
                  type: "button",
                  id: `head-${i}`,
                  "aria-pressed": i === head,
                  "aria-label": `Head ${i}`,
                  onclick: () => choose({ head: i }),
                },
                String(i),
              ),
            ),
          ),
        ),
        headTools(app, step, head),
      ),
      h(
        "section",
        { class: "card", "aria-label": "Scores and bias" },
        h("h3", { style: "margin-top:0" }, `From token ${query} to every other, head ${head}`),
        h(
          "div",
          { class: "grids" },
          valueGrid(heads[head].scores, rows, columns, "Query · key, divided by the root of their length", {
            chosen: key,
            choose: (k) => choose({ key: k }),
            name: "score",
          }),
          valueGrid(heads[head].biases, rows, columns, "Plus the bias for the distance between the two", {
            chosen: key,
            choose: (k) => choose({ key: k }),
            name: "bias",
          }),
          valueGrid(heads[head].weights, rows, columns, "Softmax of the two: shares that add up to 100 %", {
            chosen: key,
            choose: (k) => choose({ key: k }),
            name: "share",
            shares: true,
          }),
        ),
        h("h3", {}, `The bias table of head ${head}, by distance`),
        heads[head].table === null
          ? h("p", {}, "These biases were resized: each pair of tokens has its own.")
          : distanceTable(heads[head].table, rows, columns, query, key),
      ),
    ),
    await numberView(app, tensor.path, index),
    sourceView(app, "attend"),
  ];
}

/** The photograph in gray, each place as bright as the share that the token takes from it. */
function onPhotograph(app, { rows, columns, heads }, head, query, choose) {
  const ground = h("canvas", { "aria-hidden": "true" });
  drawPixels(ground, app.seen);
  const most = Math.max(...heads[head].weights);
  const cells = Array.from(heads[head].weights, (weight, i) =>
    svg("rect", {
      x: i % columns,
      y: Math.floor(i / columns),
      width: 1,
      height: 1,
      fill: `rgba(0,0,0,${(0.8 * (1 - weight / most)).toFixed(2)})`,
    }),
  );
  const [y, x] = [Math.floor(query / columns), query % columns];
  const buttons = Array.from(heads[head].weights, (weight, i) =>
    h(
      "button",
      {
        type: "button",
        id: `token-${i}`,
        "aria-pressed": i === query,
        "aria-label": `Token ${i}, row ${Math.floor(i / columns)}, column ${i % columns}: gets ${percent(weight)}`,
        onclick: () => choose({ query: i }),
        class: "token",
      },
      h("span", {}, percent(weight)),
    ),
  );
  return h(
    "div",
    { class: "large on-photo" },
    ground,
    svg(
      "svg",
      { viewBox: `0 0 ${columns} ${rows}`, preserveAspectRatio: "none", "aria-hidden": "true" },
      cells,
      frame(x, y, 1, 1),
    ),
    h("div", { class: "tokens", style: `grid-template:repeat(${rows},1fr)/repeat(${columns},1fr)` }, buttons),
  );
}

/** Numbers in the grid of the tokens. */
function valueGrid(values, rows, columns, words, { chosen, choose, name, shares }) {
  const grid = { rows, columns, channels: 1, at: (y, x) => values[y * columns + x] };
  const scale = largest(grid);
  return h(
    "figure",
    {},
    h("figcaption", {}, words),
    h(
      "div",
      { class: "scroll", tabindex: "0", role: "group", "aria-label": words },
      h(
        "table",
        { class: "grid", "data-grid": name },
        h(
          "tbody",
          {},
          Array.from({ length: rows }, (_, y) =>
            h(
              "tr",
              {},
              Array.from({ length: columns }, (_, x) => {
                const i = y * columns + x;
                return h(
                  "td",
                  { style: shade(values[i] / scale), class: i === chosen ? "chosen" : null },
                  choose
                    ? h(
                        "button",
                        {
                          type: "button",
                          class: "cell",
                          id: `${name}-${i}`,
                          "aria-pressed": i === chosen,
                          "aria-label": `Key ${i}: ${name} ${figure(values[i], 3)}`,
                          onclick: () => choose(i),
                        },
                        shares ? percent(values[i]) : signed(values[i], 3),
                      )
                    : signed(values[i], 3),
                );
              }),
            ),
          ),
        ),
      ),
    ),
  );
}

/** The learned biases: a row for each distance down, a column for each distance across. */
function distanceTable(table, rows, columns, query, key) {
  const grid = { rows, columns, channels: 1, at: (y, x) => table[y * columns + x] };
  const scale = largest(grid);
  const down = Math.abs(Math.floor(query / columns) - Math.floor(key / columns));
  const across = Math.abs((query % columns) - (key % columns));
  return [
    h(
      "p",
      { class: "small soft" },
      `Token ${query} and token ${key} lie ${down} down and ${across} across from each other: the framed number is theirs.`,
    ),
    h(
      "div",
      { class: "scroll", tabindex: "0", role: "group", "aria-label": "Bias by distance" },
      h(
        "table",
        { class: "grid", id: "bias-table" },
        h(
          "thead",
          {},
          h(
            "tr",
            {},
            h("td", {}),
            Array.from({ length: columns }, (_, x) => h("th", { scope: "col" }, `${x} across`)),
          ),
        ),
        h(
          "tbody",
          {},
          Array.from({ length: rows }, (_, y) =>
            h(
              "tr",
              {},
              h("th", { scope: "row" }, `${y} down`),
              Array.from({ length: columns }, (_, x) =>
                h(
                  "td",
                  {
                    style: shade(grid.at(y, x) / scale),
                    class: y === down && x === across ? "chosen" : null,
                  },
                  signed(grid.at(y, x), 3),
                ),
              ),
            ),
          ),
        ),
      ),
    ),
    legend(scale),
  ];
}

function headTools(app, step, head) {
  const mixer = `${step.path}.token_mixer`;
  return h(
    "fieldset",
    { class: "row" },
    h("legend", {}, "Change it"),
    switchButton(app, { kind: "head", path: mixer, head }, `Head ${head} off`),
    switchButton(app, { kind: "biases", path: mixer }, "No biases"),
  );
}
