// How one number was made: arithmetic that adds up to the number shown.
//
// An explanation is a list of parts. Each part computes a total from its terms; a term is a number of another tensor,
// a parameter, a constant, or the total of an earlier part. `computed` does each part's arithmetic, so what is shown
// is what was computed; the last total is the number itself, but for the rounding of float32.
import { ACTIVATIONS, phi } from "./layers/activations.js";
import { layout } from "./layers/attend.js";
import { windowOf } from "./layers/pooling.js";
import { biasIndex } from "./layers/position_bias.js";
import { offset } from "./layers/tensor.js";
import { perColor } from "./images.js";
import { at } from "./network/params.js";
import { SENTENCES } from "./sentences.js";

/** What each operation makes of its terms. */
const OPERATIONS = {
  sum: (terms) => terms.reduce((sum, { value }) => sum + value, 0),
  products: (terms) => terms.reduce((sum, { value }) => sum + value, 0),
  mean: (terms) => terms.reduce((sum, { value }) => sum + value, 0) / terms.length,
  squares: (terms) => terms.reduce((sum, { value }) => sum + value ** 2, 0) / terms.length,
  difference: ([first, second]) => first.value - second.value,
  product: (terms) => terms.reduce((product, { value }) => product * value, 1),
  quotient: ([first, second]) => first.value / second.value,
  max: (terms) => Math.max(...terms.map(({ value }) => value)),
  deviation: ([variance, eps]) => Math.sqrt(variance.value + eps.value),
  exp: ([first]) => Math.exp(first.value),
  same: ([first]) => first.value,
  ...Object.fromEntries(Object.entries(ACTIVATIONS).map(([name, f]) => [name, ([x]) => f(x.value)])),
};

/** The total of a part, from its terms. */
export function computed({ op, terms }) {
  return OPERATIONS[op](terms);
}

/** A list of parts in the making. */
class Parts {
  constructor() {
    this.list = [];
  }

  /** Add a part, and return its total as a term of later parts. */
  add(name, op, ...terms) {
    const part = { name, op, terms: terms.flat() };
    this.list.push({ ...part, total: computed(part) });
    return this.term(name, this.list.length - 1);
  }

  term(label, part) {
    return { label, value: this.list[part].total, part };
  }
}

/** Explain the number at an index of the tensor at a path; `here` as in interventions, and the photograph's bytes. */
export function explainNumber(here, path, index) {
  const x = here.tensor(path);
  const place = offset(x.shape, index);
  const entry = here.entry(path);
  const parts = new Parts();
  const explain = EXPLAIN[entry.layer] ?? activation;
  explain(parts, entry, index, here);
  const value = x.data[place];
  if (here.acting(path))
    parts.add("changed by an intervention", "same", { label: "what it was changed to", value });
  return {
    path,
    index,
    value,
    layer: entry.layer,
    sentence: SENTENCES[entry.layer] ?? SENTENCES.activation,
    parts: parts.list,
  };
}

/** A number of another tensor. */
function number(here, path, index, label) {
  const { shape, data } = here.tensor(path);
  return { label: label ?? `${path} [${index}]`, value: data[offset(shape, index)], path, index };
}

/** A parameter, by timm's key; what has one axis is its numbers alone. */
function parameter(here, key, index, label) {
  const found = at(here.params, key);
  const value = found.shape ? found.data[offset(found.shape, index)] : found[index[0]];
  return { label, value, parameter: key, index };
}

/** The numbers at an index of each input. */
function inputs(here, { inputs: paths }, index) {
  return paths.map((path) => number(here, path, index));
}

const EXPLAIN = {
  normalize(parts, entry, [y, x, color], here) {
    const { processor, seen } = here;
    let value = {
      label: "byte of the resized photograph, 0 to 255",
      value: seen.data[(y * seen.width + x) * 3 + color],
    };
    if (processor.do_rescale)
      value = parts.add("white is 1", "product", value, { label: "1/255", value: processor.rescale_factor });
    if (processor.do_normalize) {
      value = parts.add("less the mean of this color", "difference", value, {
        label: "mean",
        value: perColor(processor.image_mean, color),
      });
      value = parts.add("divided by its deviation", "quotient", value, {
        label: "deviation",
        value: perColor(processor.image_std, color),
      });
    }
    if (parts.list.length === 0) parts.add("the byte itself", "same", value);
  },

  conv2d(parts, entry, [i, j, o], here) {
    const { shape } = at(here.params, entry.params).weight;
    const [, kh, kw, C] = shape;
    const { stride, padding } = entry.options;
    const [H, W] = here.tensor(entry.inputs[0]).shape;
    const terms = [];
    for (let u = 0; u < kh; u++) {
      for (let v = 0; v < kw; v++) {
        const [row, column] = [stride * i + u - padding, stride * j + v - padding];
        const outside = row < 0 || row >= H || column < 0 || column >= W;
        for (let c = 0; c < C; c++) {
          const a = outside
            ? { label: "padding", value: 0, outside }
            : number(here, entry.inputs[0], [row, column, c], `(${row}, ${column}), channel ${c}`);
          const b = parameter(
            here,
            `${entry.params}.weight`,
            [o, u, v, c],
            `weight (${u}, ${v}) of channel ${c}`,
          );
          terms.push({ label: `(${u}, ${v}), channel ${c}`, a, b, value: a.value * b.value, outside });
        }
      }
    }
    const sum = parts.add("window times weights", "products", terms);
    parts.add("plus bias", "sum", sum, parameter(here, `${entry.params}.bias`, [o], "bias"));
  },

  linear(parts, entry, index, here) {
    const o = index.at(-1);
    const { shape } = at(here.params, entry.params).weight;
    const terms = Array.from({ length: shape[1] }, (_, c) => {
      const a = number(here, entry.inputs[0], [...index.slice(0, -1), c], `channel ${c}`);
      const b = parameter(here, `${entry.params}.weight`, [o, c], `weight of channel ${c}`);
      return { label: `channel ${c}`, a, b, value: a.value * b.value };
    });
    const sum = parts.add("row times weights", "products", terms);
    parts.add("plus bias", "sum", sum, parameter(here, `${entry.params}.bias`, [o], "bias"));
  },

  batch_norm(parts, entry, index, here) {
    const c = [index.at(-1)];
    const own = (name, label) => parameter(here, `${entry.params}.${name}`, c, label);
    const centered = parts.add(
      "less the mean",
      "difference",
      number(here, entry.inputs[0], index),
      own("running_mean", "mean of this channel in training"),
    );
    const deviation = parts.add(
      "deviation",
      "deviation",
      own("running_var", "variance of this channel in training"),
      { label: "ε", value: entry.options.eps },
    );
    const scaled = parts.add("divided by the deviation", "quotient", centered, deviation);
    const weighted = parts.add("times weight", "product", scaled, own("weight", "weight"));
    parts.add("plus bias", "sum", weighted, own("bias", "bias"));
  },

  layer_norm(parts, entry, [n, c], here) {
    const C = here.tensor(entry.inputs[0]).shape[1];
    const token = Array.from({ length: C }, (_, k) => number(here, entry.inputs[0], [n, k], `channel ${k}`));
    const mean = parts.add("mean of the token", "mean", token);
    const centered = token.map((term) => ({
      ...term,
      label: `${term.label} less the mean`,
      value: term.value - mean.value,
    }));
    const variance = parts.add("variance of the token", "squares", centered);
    const deviation = parts.add("deviation", "deviation", variance, { label: "ε", value: entry.options.eps });
    const own = parts.add("less the mean", "difference", number(here, entry.inputs[0], [n, c]), mean);
    const scaled = parts.add("divided by the deviation", "quotient", own, deviation);
    const weighted = parts.add(
      "times weight",
      "product",
      scaled,
      parameter(here, `${entry.params}.weight`, [c], "weight"),
    );
    parts.add("plus bias", "sum", weighted, parameter(here, `${entry.params}.bias`, [c], "bias"));
  },

  pooling(parts, entry, [i, j, c], here) {
    const [x] = entry.inputs;
    const [H, W] = here.tensor(x).shape;
    const neighbors = windowOf(i, j, H, W, entry.options.size);
    const terms = neighbors.map(([row, column]) =>
      number(here, x, [row, column, c], `pixel (${row}, ${column})`),
    );
    const mean = parts.add("mean of the neighbors", "mean", terms);
    parts.add("less the pixel itself", "difference", mean, number(here, x, [i, j, c], "the pixel itself"));
  },

  layer_scale(parts, entry, index, here) {
    parts.add(
      "times γ",
      "product",
      number(here, entry.inputs[0], index),
      parameter(here, `${entry.params}.gamma`, [index.at(-1)], "γ"),
    );
  },

  residual(parts, entry, index, here) {
    const [x, branch] = inputs(here, entry, index);
    const adds = entry.path.endsWith(".residual1") ? "what the mixer adds" : "what the MLP adds";
    parts.add(
      "what came in, and what the branch adds",
      "sum",
      { ...x, label: "what came in" },
      { ...branch, label: adds },
    );
  },

  attend(parts, entry, [head, query, key], here) {
    const [path] = entry.inputs;
    const qkv = here.tensor(path);
    const { attention_biases: biases } = at(here.params, entry.params);
    const { K, q, k } = layout(qkv, biases.shape[0], entry.options.K);
    const N = qkv.shape[0];
    const dots = (j) =>
      Array.from({ length: K }, (_, d) => {
        const a = number(here, path, [query, q(head) + d], `query, number ${d}`);
        const b = number(here, path, [j, k(head) + d], `key, number ${d}`);
        return { label: `number ${d}`, a, b, value: a.value * b.value };
      });
    const scale = { label: `1/√${K}`, value: K ** -0.5 };
    const biasOf = (j) =>
      parameter(
        here,
        `${entry.params}.attention_biases`,
        biasIndex(biases, head, query, j),
        "bias of this distance",
      );
    const row = Array.from({ length: N }, (_, j) => ({
      label: `score of token ${j}`,
      value: OPERATIONS.products(dots(j)) * scale.value + biasOf(j).value,
      path: entry.path,
      index: [head, query, j],
    }));
    const product = parts.add("query · key", "products", dots(key));
    const scaled = parts.add("scaled", "product", product, scale);
    const score = parts.add("plus bias", "sum", scaled, biasOf(key));
    softmaxOf(parts, row, score);
  },

  weighted_sum(parts, entry, [token, column], here) {
    const [attn, qkv] = entry.inputs;
    const [heads, N] = here.tensor(attn).shape;
    const { V, v } = layout(here.tensor(qkv), heads, entry.options.K);
    const [head, d] = [Math.floor(column / V), column % V];
    const terms = Array.from({ length: N }, (_, j) => {
      const a = number(here, attn, [head, token, j], `attention to token ${j}`);
      const b = number(here, qkv, [j, v(head) + d], `its value, number ${d}`);
      return { label: `token ${j}`, a, b, value: a.value * b.value };
    });
    parts.add("attention times values", "products", terms);
  },

  softmax(parts, entry, [index], here) {
    const logits = here.tensor(entry.inputs[0]);
    const row = Array.from(logits.data, (value, i) => number(here, entry.inputs[0], [i], `class ${i}`));
    softmaxOf(parts, row, row[index]);
  },

  mean(parts, entry, [c], here) {
    const N = here.tensor(entry.inputs[0]).shape[0];
    parts.add(
      "mean over the tokens",
      "mean",
      Array.from({ length: N }, (_, n) => number(here, entry.inputs[0], [n, c], `token ${n}`)),
    );
  },

  average(parts, entry, index, here) {
    parts.add("mean of both heads", "mean", inputs(here, entry, index));
  },

  same(parts, entry, index, here) {
    parts.add("the same number", "same", number(here, entry.inputs[0], index));
  },

  flat(parts, entry, [n, c], here) {
    const columns = here.tensor(entry.inputs[0]).shape[1];
    parts.add(
      "the pixel, now a token",
      "same",
      number(here, entry.inputs[0], [Math.floor(n / columns), n % columns, c]),
    );
  },
};

/** exp(score − largest), divided by the sum of all of them. */
function softmaxOf(parts, row, own) {
  const largest = parts.add("the largest of the row", "max", row);
  const shifted = parts.add("less the largest", "difference", own, largest);
  const e = parts.add("exp", "exp", shifted);
  const sum = parts.add(
    "sum over the row",
    "sum",
    row.map((term) => ({
      ...term,
      label: `exp: ${term.label}`,
      value: Math.exp(term.value - largest.value),
    })),
  );
  parts.add("divided by the sum", "quotient", e, sum);
}

function activation(parts, entry, index, here) {
  const x = number(here, entry.inputs[0], index);
  parts.add(entry.layer, entry.layer, entry.layer === "gelu" ? { ...x, phi: phi(x.value) } : x);
}
