// A block: its equation and source, its tensors, how much it changes, and what can be switched off in it.

import { h, figure, percent } from "./ui_dom.js";
import { drawMosaic } from "./ui_pictures.js";
import { gridOf } from "./ui_places.js";
import { DOES, titleOf, isBlock, sizeWords } from "./ui_map.js";
import { reluButton, switchButton } from "./ui_switch.js";

/** What a tensor is, by the layer that made it. */
const MADE_BY = {
  conv2d: "windows times weights",
  linear: "values times weights",
  batch_norm: "each channel shifted and stretched",
  layer_norm: "each token shifted and stretched",
  gelu: "GELU: small and negative values dampened",
  relu: "ReLU: negative values become 0",
  pooling: "mean of the neighbors, less the place itself",
  softmax: "shares that add up to 1",
  layer_scale: "each channel times its learned factor",
  residual: "the branch added to what passes by",
  attend: "how much each token takes from each other",
  mean: "mean over all tokens",
  average: "mean of two classifiers",
  weighted_sum: "values, each as much as the attention it gets",
  same: "the same numbers under another name",
  normalize: "colors, made ready",
  flat: "the same numbers, read as tokens",
};

/** Show a step of the network. */
export async function blockView(app, step) {
  const { explorer } = app;
  const block = await explorer.block(step.path);
  const [, does] = DOES[step.kind] ?? ["", ""];
  return [
    h("h2", { id: "level-title" }, `${titleOf(step)} `, h("code", { class: "soft" }, step.path)),
    h("p", {}, `${does.slice(0, 1).toUpperCase()}${does.slice(1)}.`),
    isBlock(step) ? residualView(block) : null,
    changesOf(app, step),
    h(
      "section",
      { class: "card", "aria-labelledby": "steps-title" },
      h("h3", { id: "steps-title", style: "margin-top:0" }, "Step by step"),
      h(
        "p",
        { class: "small soft" },
        "Every array that is computed here, in order. Open one to see its channels, and any of its numbers.",
      ),
      await stepTable(app, block),
    ),
    sourceView(app, step.kind),
  ];
}

function residualView(block) {
  const names = { mixer: "mixing (ls1)", mlp: "work on each place (ls2)" };
  return h(
    "section",
    { class: "card", "aria-labelledby": "residual-title" },
    h("h3", { id: "residual-title", style: "margin-top:0" }, "How much it changes"),
    h(
      "p",
      {},
      "What comes in passes by, and two branches are added to it. Compared with the length of what comes in (the root of the sum of all squares):",
    ),
    h(
      "table",
      {},
      h(
        "tbody",
        {},
        block.branches.map((branch) =>
          h(
            "tr",
            {},
            h("th", { scope: "row" }, names[branch.name] ?? branch.name),
            h("td", { class: "number" }, percent(branch.share)),
            h("td", {}, meter(branch.share)),
          ),
        ),
        h(
          "tr",
          { class: "sum" },
          h("th", { scope: "row" }, "the whole change"),
          h("td", { class: "number", id: "block-change" }, percent(block.change)),
          h("td", {}, meter(block.change)),
        ),
      ),
    ),
  );
}

function meter(share) {
  return h(
    "span",
    { class: "bar", "aria-hidden": "true", style: "display:block;width:9rem" },
    h("i", { style: `width:${Math.min(100, 100 * share)}%` }),
  );
}

async function stepTable(app, block) {
  const tensors = await Promise.all(block.tensors.map(({ path }) => app.explorer.tensor(path)));
  return h(
    "div",
    { class: "scroll", tabindex: "0", role: "group", "aria-label": "Arrays of this step" },
    h(
      "table",
      { class: "steps" },
      h(
        "thead",
        {},
        h(
          "tr",
          {},
          h("td", {}),
          ...["array", "made of", "size", "lowest", "mean", "highest"].map((word, i) =>
            h("th", { scope: "col", class: i > 2 ? "number" : null }, word),
          ),
        ),
      ),
      h(
        "tbody",
        {},
        block.tensors.map((tensor, i) => {
          const canvas = h("canvas", { "aria-hidden": "true" });
          drawMosaic(canvas, gridOf(tensors[i], app.explorer.network), 3);
          return h(
            "tr",
            {},
            h("td", {}, canvas),
            h(
              "td",
              {},
              app.link(
                { view: block.path, array: tensor.path, place: null },
                { id: `array-${tensor.path}` },
                h("code", {}, shortName(tensor.path, block.path)),
              ),
            ),
            h("td", {}, MADE_BY[tensor.layer] ?? tensor.layer),
            h("td", { class: "small" }, sizeWords(tensor)),
            ...[tensor.low, tensor.mean, tensor.high].map((v) => h("td", { class: "number" }, figure(v, 3))),
          );
        }),
      ),
    ),
  );
}

/** A path without that of its block; the block's own output is "output". */
export function shortName(path, block) {
  if (path === block) return "output";
  return path.startsWith(`${block}.`) ? path.slice(block.length + 1) : path;
}

/** The equation and the source of a layer, quoted from the package. */
export function sourceView(app, name) {
  const quoted = app.explorer.network.sources[name];
  if (!quoted) return null;
  return h(
    "section",
    { class: "card", "aria-label": `Equation and source of ${name}` },
    h("h3", { style: "margin-top:0" }, "The equation"),
    h("pre", { tabindex: "0", "aria-label": "Equation" }, quoted.equation),
    h(
      "details",
      {},
      h("summary", {}, "The source that this package runs, ", h("code", {}, quoted.file)),
      h("pre", { class: "code", tabindex: "0", "aria-label": "Source" }, quoted.code),
    ),
  );
}

/** What can be changed in a block. */
function changesOf(app, step) {
  const button = (intervention, words, name) => switchButton(app, intervention, words, name);
  const { path, kind } = step;
  if (!isBlock(step)) return null;
  const rows = [
    [
      "Switch off",
      [
        button({ kind: "block", path }, "the block"),
        button({ kind: "branch", path: `${path}.ls1` }, "its mixing"),
        button({ kind: "branch", path: `${path}.ls2` }, "its work on each place"),
      ],
    ],
  ];
  if (kind === "attention_block") {
    const mixer = `${path}.token_mixer`;
    const heads = Array.from({ length: app.explorer.network.heads }, (_, head) =>
      button({ kind: "head", path: mixer, head }, String(head), `Switch off head ${head}`),
    );
    rows.push(
      ["Switch off a head", heads],
      ["Leave out", [button({ kind: "biases", path: mixer }, "the attention biases")]],
    );
  } else
    rows.push([
      "Leave out",
      [button({ kind: "subtraction", path: `${path}.token_mixer` }, "the subtraction in the pooling")],
    ]);
  const scaled = step.tensors.some((tensor) => tensor.path === `${path}.ls1`);
  rows.push([
    "Set to 1",
    scaled
      ? [
          button({ kind: "scale", path: `${path}.ls1` }, "layer scale 1"),
          button({ kind: "scale", path: `${path}.ls2` }, "layer scale 2"),
        ]
      : [],
  ]);
  rows.push(["Replace", [reluButton(app, `${path}.mlp.act`)].filter(Boolean)]);
  return h(
    "section",
    { class: "card", "aria-labelledby": "change-title" },
    h("h3", { id: "change-title", style: "margin-top:0" }, "Change it, and watch the answer"),
    rows
      .filter(([, buttons]) => buttons.length)
      .map(([words, buttons]) => h("fieldset", { class: "row switches" }, h("legend", {}, words), buttons)),
  );
}
