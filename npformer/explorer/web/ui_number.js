// One number, and how it was made: the parts of its explanation, each with terms that add up.

import { h, figure, signed, counted, replaceChildren } from "./ui_dom.js";
import { pole, chart, reach } from "./ui_chart.js";
import { ofClasses, placeWords } from "./ui_places.js";
import { shade } from "./ui_pictures.js";

const SHOWN = 12; // terms, the largest, before the reader asks for all

/** Show a number of a tensor: its value, a field to move it, and every part of its sum. */
export async function numberView(app, path, index) {
  const { explorer } = app;
  const explanation = await explorer.explainNumber(path, index);
  const parts = [];
  for (const part of explanation.parts) parts.push(await partView(app, part, explanation));
  return h(
    "section",
    { class: "card", id: "number", "aria-labelledby": "number-title" },
    h(
      "h3",
      { id: "number-title", style: "margin-top:0" },
      `One number: ${placeWords(index, path, explorer.network.labels)}`,
    ),
    h(
      "p",
      { class: "value number", id: "number-value", "data-value": explanation.value },
      figure(explanation.value),
    ),
    h("p", {}, explanation.sentence ?? ""),
    h("div", { class: "parts" }, parts),
    moveView(app, path, index, explanation.value),
  );
}

async function partView(app, part, explanation) {
  const many =
    part.op === "sum" ||
    part.op === "products" ||
    part.op === "mean" ||
    part.op === "squares" ||
    part.op === "max";
  return h(
    "div",
    { class: "part", "data-op": part.op, "data-total": part.total },
    h("h4", {}, part.name),
    many ? longPart(app, part) : shortPart(app, part, explanation),
    isCurve(part.op) ? await curveOf(app, part) : null,
  );
}

/** Whether an operation is an activation, which has a curve. */
function isCurve(op) {
  return ![
    "sum",
    "products",
    "mean",
    "squares",
    "max",
    "difference",
    "product",
    "quotient",
    "deviation",
    "exp",
    "same",
  ].includes(op);
}

/** A part of one or two terms, as one line: total = first − second. */
function shortPart(app, part) {
  const [first, second] = part.terms.map((term) => termValue(app, term));
  const signs = { difference: " − ", quotient: " ÷ ", product: " × " };
  let made;
  if (part.op === "product") made = part.terms.flatMap((term, i) => [i ? " × " : "", termValue(app, term)]);
  else if (signs[part.op]) made = [first, signs[part.op], second];
  else if (part.op === "deviation") made = ["√(", first, " + ", second, ")"];
  else if (part.op === "same") made = [first];
  else made = [`${part.op}(`, first, ")"];
  const phi = part.phi ?? part.terms[0].phi;
  return [
    h("p", { class: "number sumline" }, made, " = ", h("strong", {}, figure(part.total))),
    h(
      "p",
      { class: "small soft" },
      part.terms.map((term, i) => [i ? "; " : "", termName(app, term), " is ", figure(term.value)]),
      phi === undefined ? "" : `. Φ, the share of a bell curve below it, is ${figure(phi)}.`,
    ),
  ];
}

/** A part of many terms, as a table: the largest first, the rest on demand. */
function longPart(app, part) {
  const terms = part.terms.map((term) => ({ term, share: shareOf(part, term) }));
  const size = ({ share }) => (part.op === "max" ? share : Math.abs(share));
  const order = [...terms].sort((a, b) => size(b) - size(a));
  const place = h("div", {
    class: "scroll",
    tabindex: "0",
    role: "group",
    "aria-label": `Terms of “${part.name}”`,
  });
  const few = terms.length <= SHOWN + 3;
  const fill = (all) =>
    replaceChildren(
      place,
      termTable(app, part, all ? terms : order.slice(0, SHOWN), all ? [] : order.slice(SHOWN)),
    );
  fill(few);
  const window = windowSums(part);
  if (few) return [window, place];
  const button = h(
    "button",
    {
      type: "button",
      class: "all-terms",
      "aria-pressed": "false",
      onclick: () => {
        const all = button.getAttribute("aria-pressed") !== "true";
        button.setAttribute("aria-pressed", all);
        fill(all);
      },
    },
    `All ${counted(terms.length, "term")}, in order`,
  );
  return [window, place, h("div", { class: "row" }, button)];
}

/** What a term adds before the mean is taken. */
function shareOf(part, term) {
  if (part.op === "products") return term.value ?? term.a.value * term.b.value;
  return part.op === "squares" ? term.value ** 2 : term.value;
}

function termTable(app, part, shown, rest) {
  const products = part.op === "products";
  const most = Math.max(...[...shown, ...rest].map(({ share }) => Math.abs(share)), 0);
  const wide = products ? 2 : 1;
  const rows = shown.map(({ term, share }) =>
    h(
      "tr",
      { "data-share": share },
      products
        ? [factor(app, term.a, "", term.outside ? " (outside)" : ""), factor(app, term.b, "× ")]
        : part.op === "squares"
          ? factor(app, term, "", "", "²")
          : h("td", {}, termName(app, term)),
      h(
        "td",
        { class: "number share" },
        products || part.op === "squares" || term.path === undefined
          ? signed(share)
          : termValue(app, term, signed),
      ),
      h("td", {}, part.op === "max" ? "" : pole(share, most)),
    ),
  );
  if (rest.length && part.op !== "max") {
    const sum = rest.reduce((total, { share }) => total + share, 0);
    rows.push(
      h(
        "tr",
        { "data-share": sum },
        h("td", { colspan: wide }, `${counted(rest.length, "smaller term")} together`),
        h("td", { class: "number share" }, signed(sum)),
        h("td", {}, pole(sum, most)),
      ),
    );
  }
  const words = {
    sum: "sum",
    products: "sum of the products",
    max: "the largest",
    mean: `sum ÷ ${part.terms.length}, the mean`,
    squares: `sum of the squares ÷ ${part.terms.length}`,
  }[part.op];
  return h(
    "table",
    { class: "terms" },
    h(
      "thead",
      {},
      h(
        "tr",
        {},
        (products ? ["value", part.terms[0].b.parameter ? "weight" : "times"] : ["term"]).map(columnHead),
        h("th", { class: "number", scope: "col" }, products ? "product" : "value"),
        columnHead(""),
      ),
    ),
    h("tbody", {}, rows),
    h(
      "tfoot",
      {},
      h(
        "tr",
        { class: "sum" },
        h("td", { colspan: wide }, words),
        h("td", { class: "number total" }, figure(part.total)),
        h("td", {}),
      ),
    ),
  );
}

function columnHead(word) {
  return word ? h("th", { scope: "col" }, word) : h("td", {});
}

/** For a window of an image: what each of its places adds, over all channels. */
function windowSums(part) {
  const values = part.terms.map((term) => ({ index: (term.a ?? term).index, share: shareOf(part, term) }));
  if (!["products", "mean"].includes(part.op) || !values.every(({ index }) => index?.length === 3))
    return null;
  const sums = new Map();
  for (const {
    index: [y, x],
    share,
  } of values) {
    if (!sums.has(y)) sums.set(y, new Map());
    sums.get(y).set(x, (sums.get(y).get(x) ?? 0) + share);
  }
  const columns = [...new Set(values.map(({ index }) => index[1]))].sort((a, b) => a - b);
  if (sums.size * columns.length === 1) return null;
  const most = Math.max(...[...sums.values()].flatMap((row) => [...row.values()].map(Math.abs))) || 1;
  const words =
    part.op === "mean"
      ? "The places of the window"
      : "What each place of the window adds, over all its channels";
  return h(
    "figure",
    { class: "scroll window", tabindex: "0", role: "group", "aria-label": words },
    h("figcaption", {}, words),
    h(
      "table",
      { class: "grid" },
      h(
        "tbody",
        {},
        [...sums]
          .sort(([a], [b]) => a - b)
          .map(([, row]) =>
            h(
              "tr",
              {},
              columns.map((x) =>
                h("td", { style: shade((row.get(x) ?? 0) / most) }, signed(row.get(x) ?? 0, 3)),
              ),
            ),
          ),
      ),
    ),
  );
}

async function curveOf(app, part) {
  const x = part.terms[0].value;
  const span = reach(x);
  const curve = await app.explorer.curve(part.op, -span, span, 121);
  return chart(curve, x, part.total, part.op === "gelu" ? "GELU" : part.op === "relu" ? "ReLU" : part.op);
}

/** A number of a product, below what it is. */
function factor(app, term, before, after = "", power = "") {
  return h(
    "td",
    {},
    h("span", { class: "soft" }, termName(app, term), after),
    h("br"),
    h("span", { class: "number" }, before, termValue(app, term), power),
  );
}

/** The value of a term; a link where it is a number of another tensor. */
function termValue(app, term, written = figure) {
  if (term.path === undefined || term.path === null) return h("span", {}, written(term.value));
  return app.link(
    { ...app.viewOf(term.path), place: term.index },
    { title: "How was this number made?" },
    written(term.value),
  );
}

function termName(app, term) {
  return h(
    "span",
    { title: term.parameter ? `${term.parameter}[${(term.index ?? []).join(", ")}]` : null },
    ofClasses(term.path) ? app.explorer.network.labels[term.index[0]] : term.label,
  );
}

/** Move this number by hand. */
function moveView(app, path, index, value) {
  const key = { kind: "value", path, index };
  const moved = app.changeLike(key);
  const field = h("input", {
    type: "number",
    step: "any",
    id: "moved-value",
    value: Number((moved?.value ?? value).toPrecision(5)),
  });
  const set = () =>
    field.value.trim() !== "" &&
    Number.isFinite(Number(field.value)) &&
    app.change({ ...key, value: Number(field.value) });
  const add = (step) => {
    field.value = Number((Number(field.value) + step).toPrecision(5));
    set();
  };
  const step = Math.max(0.1, Number((Math.abs(value) / 2).toPrecision(1)));
  field.addEventListener("keydown", (event) => event.key === "Enter" && set());
  return h(
    "fieldset",
    { class: "row" },
    h("legend", {}, "Move this number"),
    h(
      "button",
      { type: "button", id: "move-down", "aria-label": `${step} less`, onclick: () => add(-step) },
      "−",
    ),
    h("label", {}, h("span", { class: "unseen" }, "New value"), field),
    h(
      "button",
      { type: "button", id: "move-up", "aria-label": `${step} more`, onclick: () => add(step) },
      "+",
    ),
    h("button", { type: "button", id: "move-set", onclick: set }, "Set"),
    moved
      ? h(
          "button",
          { type: "button", id: "move-back", onclick: () => app.unchange(key) },
          "Back to the computed value",
        )
      : null,
  );
}
