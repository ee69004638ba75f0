// The map: the whole network from the photograph to the answer, a card for each step.

import { h, percent } from "./ui_dom.js";
import { drawMosaic } from "./ui_pictures.js";
import { gridOf, isAttention, ofClasses } from "./ui_places.js";
import { reluButton } from "./ui_switch.js";

/** What a step does, in a few words, by its kind. */
export const DOES = {
  stem: ["Stem", "two convolutions: from colors to the first features"],
  downsample: ["Downsampling", "half the rows and columns, more channels"],
  pooling_block: ["Pooling block", "mixes neighbors, then works on each place"],
  flat: ["Flat", "reads the grid row by row: places become tokens"],
  attention_block: ["Attention block", "every token looks at every other"],
  head: ["Answer", "a norm, the mean of all tokens, a number for each class"],
};

/** Name of a step for people: "Pooling block 1 of stage 0". */
export function titleOf(step) {
  const name = DOES[step.kind]?.[0] ?? step.path;
  const [, stage, block] = step.path.match(/^stages\.(\d+)(?:\.blocks\.(\d+))?/) ?? [];
  if (block !== undefined) return step.kind === "flat" ? name : `${name} ${stage}.${block}`;
  return stage === undefined ? name : `${name} to stage ${stage}`;
}

/** The tensor that a step hands on. */
export function outputOf(step) {
  return step.tensors.find(({ path }) => path === step.path) ?? step.tensors.at(-1);
}

/** Show the map. */
export async function mapView(app) {
  const { explorer } = app;
  const { network } = explorer;
  const groups = [];
  for (const step of network.steps) {
    const name = step.path.match(/^stages\.\d+/)?.[0] ?? step.path;
    if (groups.at(-1)?.name !== name) groups.push({ name, steps: [] });
    groups.at(-1).steps.push(step);
  }
  const tensors = await Promise.all(network.steps.map((step) => explorer.tensor(mapped(step).path)));
  const changes = await Promise.all(
    network.steps.map((step) => (isBlock(step) ? explorer.block(step.path) : null)),
  );
  let i = 0;
  const sections = groups.map(({ name, steps }, k) =>
    h(
      "section",
      { class: "stage", "aria-label": sectionTitle(name) },
      h(
        "h3",
        {},
        k ? h("span", { "aria-hidden": "true" }, "→") : null,
        sectionTitle(name),
        h(
          "small",
          {},
          sizeWords(steps.at(-1).kind === "head" ? steps.at(-1).tensors.at(-1) : outputOf(steps.at(-1))),
        ),
      ),
      h(
        "ol",
        { class: "blocks" },
        steps.map((step) => card(app, step, tensors[i], changes[i++])),
      ),
    ),
  );
  return [
    h("h2", { id: "level-title" }, "The map"),
    h(
      "p",
      {},
      `The photograph enters at the top, and the answer comes out below. ${network.parameters.toLocaleString("en")} learned numbers work on it. Open a step to see what it does; switch one off to see what it is good for.`,
    ),
    h(
      "div",
      { class: "row" },
      app.link(
        { view: "matters" },
        { class: "button", id: "to-matters" },
        "What matters for this photograph?",
      ),
      reluButton(app, "*"),
    ),
    h("div", { class: "map" }, sections),
  ];
}

/** The tensor whose picture stands for a step: for the answer, the mean of all tokens. */
function mapped(step) {
  return step.kind === "head"
    ? (step.tensors.find(({ path }) => path === "pooled") ?? outputOf(step))
    : outputOf(step);
}

/** Whether a step is a block, with an input that passes by. */
export function isBlock(step) {
  return step.kind === "pooling_block" || step.kind === "attention_block";
}

function sectionTitle(name) {
  if (name === "stem") return "Stem";
  const stage = name.match(/^stages\.(\d+)/);
  return stage ? `Stage ${stage[1]}` : "Answer";
}

/** "16 × 16 places, 64 channels". */
export function sizeWords({ path, shape }) {
  if (isAttention(path)) return `${shape[0]} heads, ${shape[1]} × ${shape[2]} shares`;
  if (ofClasses(path)) return `${shape[0]} classes`;
  if (shape.length === 3) return `${shape[0]} × ${shape[1]} places, ${shape[2]} channels`;
  if (shape.length === 2) return `${shape[0]} tokens, ${shape[1]} channels`;
  return `${shape[0]} numbers`;
}

function card(app, step, tensor, block) {
  const [, does] = DOES[step.kind] ?? ["", ""];
  const canvas = h("canvas", { "aria-hidden": "true" });
  drawMosaic(canvas, gridOf(tensor, app.explorer.network), 4);
  const intervention = { kind: "block", path: step.path };
  const switched = app.changeLike(intervention) !== undefined;
  return h(
    "li",
    { class: `block${switched ? " switched" : ""}` },
    app.link(
      { view: step.path, array: "", place: null },
      { id: `open-${step.path}` },
      h("span", { class: "name" }, titleOf(step)),
      canvas,
      h("span", { class: "size" }, sizeWords(tensor)),
      h("span", { class: "does" }, does),
      block ? h("span", { class: "size" }, `changes what passes by ${percent(block.change)}`) : null,
    ),
    block
      ? h(
          "div",
          { class: "row" },
          h(
            "button",
            {
              type: "button",
              class: "off",
              id: `off-${step.path}`,
              "aria-pressed": switched,
              "aria-label": `Switch off ${titleOf(step)}`,
              onclick: () => app.toggle(intervention),
            },
            switched ? "Off" : "Switch off",
          ),
        )
      : null,
  );
}
