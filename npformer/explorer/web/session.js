// One photograph in one network: the answer, interventions, and every question about it.
//
// The pass without interventions is kept; a pass with some begins at the step of the first, with what came before.
import { activate, ACTIVATIONS } from "./layers/activations.js";
import { scaledScores } from "./layers/attend.js";
import { bias } from "./layers/position_bias.js";
import { runOf } from "./layers/run.js";
import { tensor } from "./layers/tensor.js";
import { catalog } from "./network/catalog.js";
import { forward, steps } from "./network/model.js";
import { at, inflated, unpack } from "./network/params.js";
import { explainNumber } from "./explain.js";
import { receptiveField } from "./field.js";
import { normalized, resizedAndCropped } from "./images.js";
import { acting, changed, checkInterventions } from "./intervening.js";

/** A network, made from the data of the page (`npformer/explorer/page.py`) and its weights in base64. */
export async function openSession(data, weights) {
  return new Session(data, unpack(await inflated(weights), data.manifest, data.config));
}

export class Session {
  constructor({ config, processor, labels, imageSize, grid }, params) {
    Object.assign(this, { config, processor, labels, imageSize, grid, params });
    this.steps = steps(params, config);
    this.entries = new Map(catalog(params, config).map((entry) => [entry.path, entry]));
    this.interventions = [];
    this.clean = null; // {tape: Map of path -> tensor, step: Map of path -> number of the step}
    this.tape = null;
  }

  /** The network as the map shows it: its steps with their tensors. */
  network() {
    const { height, width } = this.imageSize;
    const blank = this.pass(tensor([height, width, 3]), []); // a pass over nothing tells all sizes
    return this.steps.map(({ path, kind }, number) => ({
      path,
      kind,
      tensors: [...blank.tape.keys()]
        .filter((each) => blank.step.get(each) === number)
        .map((each) => ({
          path: each,
          shape: blank.tape.get(each).shape,
          layer: this.entries.get(each).layer,
        })),
    }));
  }

  /** Take another photograph, {width, height, data: RGBA bytes}. */
  show(photograph) {
    const begin = performance.now();
    this.seen = resizedAndCropped(photograph, this.processor);
    this.clean = this.pass(normalized(this.seen, this.processor), []);
    this.tape = this.clean.tape;
    return this.intervene(this.interventions, begin);
  }

  /** Take other interventions, and compute what they reach. */
  intervene(interventions, begin = performance.now()) {
    this.ready();
    checkInterventions(interventions, this.here(this.clean.tape, []));
    this.interventions = interventions;
    const first = this.firstReached(interventions);
    this.tape = interventions.length === 0 ? this.clean.tape : this.resumed(first, interventions);
    return {
      ...this.answer(this.tape),
      clean: this.answer(this.clean.tape),
      changed: interventions.length > 0,
      recomputed: interventions.length === 0 ? null : this.steps[first].path,
      milliseconds: performance.now() - begin,
    };
  }

  /** What the network sees: RGBA bytes, and how the photograph lies in it. */
  pixels() {
    this.ready();
    const { width, height, data: rgb, scaleX, scaleY, left, top } = this.seen;
    const data = new Uint8ClampedArray(4 * width * height).fill(255);
    for (let i = 0, j = 0; j < rgb.length; i += 4, j += 3) data.set(rgb.subarray(j, j + 3), i);
    return { width, height, data, scaleX, scaleY, left, top };
  }

  /** A tensor of the pass with or without interventions. */
  tensor(path, clean = false) {
    const { shape, data } = this.here(clean ? this.clean?.tape : this.tape).tensor(path);
    return { path, shape, data: data.slice() };
  }

  /** A tensor as a small picture: one channel, or the mean of all; null for what is no image and no tokens. */
  picture(path, channel = null, clean = false) {
    const { shape, data } = this.here(clean ? this.clean?.tape : this.tape).tensor(path);
    const size = this.sizeOfPicture(path, shape);
    if (size === null) return null;
    const C = shape.at(-1);
    const values = new Float32Array(size.width * size.height);
    for (let i = 0; i < values.length; i++) {
      let sum = 0;
      for (let c = 0; c < C; c++) sum += data[i * C + c];
      values[i] = channel === null ? sum / C : data[i * C + channel];
    }
    return {
      ...size,
      values,
      low: values.reduce((a, b) => Math.min(a, b)),
      high: values.reduce((a, b) => Math.max(a, b)),
    };
  }

  /** All of them by path. */
  pictures(clean = false) {
    this.ready();
    return Object.fromEntries(
      [...this.tape.keys()]
        .map((path) => [path, this.picture(path, null, clean)])
        .filter(([, picture]) => picture !== null),
    );
  }

  /** What goes into a step, what comes out, and what its branches add. */
  block(path) {
    const number = this.steps.findIndex((step) => step.path === path);
    if (number < 0) throw new Error(`the network has no step "${path}"`);
    const here = this.here();
    const input = this.inputOf(number);
    const output = number === this.steps.length - 1 ? "scores" : path;
    const [x, y] = [here.tensor(input).data, here.tensor(output).data];
    const branches = Object.entries({ ls1: "mixer", ls2: "mlp" })
      .filter(([name]) => this.tape.has(`${path}.${name}`))
      .map(([name, mixes]) => ({
        path: `${path}.${name}`,
        name: mixes,
        share: norm(here.tensor(`${path}.${name}`).data) / norm(x),
      }));
    const tensors = [...this.tape.keys()]
      .filter((each) => this.clean.step.get(each) === number)
      .map((each) => ({
        path: each,
        shape: here.tensor(each).shape,
        layer: here.entry(each).layer,
        ...range(here.tensor(each).data),
      }));
    const change = x.length === y.length ? norm(y.map((value, i) => value - x[i])) / norm(x) : null;
    return { path, kind: this.steps[number].kind, inputs: input, output, change, branches, tensors };
  }

  /** How one number was made. */
  explainNumber(path, index) {
    return explainNumber(this.here(), path, index);
  }

  /** Which pixels can change a number. */
  receptiveField(path, index) {
    return receptiveField(this.here(), path, index);
  }

  /** Where a token looks, in each head: weights, scores without bias, biases, and the table of biases by distance. */
  attention(path, token) {
    const here = this.here();
    const attn = here.tensor(`${path}.attn`);
    const [heads, N] = attn.shape;
    if (!(token >= 0 && token < N))
      throw new Error(`there is no token ${token}; there are ${N}, counted from 0`);
    const { attention_biases: biases } = at(this.params, path);
    const scores = scaledScores(here.tensor(`${path}.qkv`), heads, this.config.key_dim);
    const [, rows, columns] = biases.shape;
    return {
      token,
      rows,
      columns,
      heads: Array.from({ length: heads }, (_, head) => ({
        weights: rowOf(attn, head, token),
        scores: rowOf(scores, head, token),
        biases: Float32Array.from({ length: N }, (_, key) => bias(biases, head, token, key)),
        table: biases.shape.length === 3 ? biases.data.slice(head * N, (head + 1) * N) : null,
      })),
    };
  }

  /** Every block and head that can be switched off, one at a time. */
  switches(kinds = ["block", "head"]) {
    const found = [];
    for (const { path, kind } of this.steps) {
      if (!kind.endsWith("_block")) continue;
      if (kinds.includes("block")) found.push({ kind: "block", path });
      const heads =
        kind === "attention_block" && kinds.includes("head") ? this.config.num_attention_heads : 0;
      for (let head = 0; head < heads; head++)
        found.push({ kind: "head", path: `${path}.token_mixer`, head });
    }
    return found;
  }

  /** What switching off one of them changes, beside the pass without interventions. */
  effect(intervention) {
    this.ready();
    const before = this.answer(this.clean.tape);
    const after = this.answer(this.resumed(this.firstReached([intervention]), [intervention]));
    const { index } = before.top[0];
    const first = after.top[0].index;
    return {
      intervention,
      ...intervention,
      label: nameOf(intervention),
      change: after.scores[index] - before.scores[index],
      logit: after.logits[index] - before.logits[index],
      first,
      flipped: first !== index,
    };
  }

  /** Points of an activation's curve. */
  curve(name, low, high, count) {
    if (!Object.hasOwn(ACTIVATIONS, name))
      throw new Error(`no activation is called "${name}"; there are ${Object.keys(ACTIVATIONS).join(", ")}`);
    const x = Float32Array.from({ length: count }, (_, i) => low + ((high - low) * i) / (count - 1));
    return { x, y: activate(tensor([count], x), name).data };
  }

  /** Run the network, or the part of it from step `first` on, and keep every tensor. */
  pass(x, interventions, first = 0, before = new Map()) {
    const tape = new Map(before);
    const step = new Map();
    let number = first;
    const here = this.here(tape, interventions);
    const counting = this.steps.map((each, i) => ({
      ...each,
      compute: (...args) => {
        number = i;
        return each.compute(...args);
      },
    }));
    const see = (path, value) => {
      const kept = changed(interventions, value, path, here);
      tape.set(path, kept);
      step.set(path, number);
      return kept;
    };
    forward(x, counting, runOf(see), first);
    return { tape, step };
  }

  /** The pass with interventions, of which the first acts in step `first`. */
  resumed(first, interventions) {
    const { tape, step } = this.clean;
    const before = [...tape].filter(([path]) => step.get(path) < first);
    return this.pass(tape.get(this.inputOf(first)), interventions, first, before).tape;
  }

  /** Path of the tensor that a step begins with. */
  inputOf(number) {
    if (number === 0) return "pixel_values";
    const { path, ends } = this.steps[number - 1];
    return ends.at(-1) ?? path;
  }

  /** Number of the first step in which an intervention acts. */
  firstReached(interventions) {
    const reached = [...this.clean.step]
      .filter(([path]) => acting(interventions, path))
      .map(([, number]) => number);
    return reached.length === 0 ? 0 : Math.min(...reached);
  }

  /** The ten likeliest classes, all logits and all scores. */
  answer(tape) {
    const logits = tape.get("logits").data;
    const scores = tape.get("scores").data;
    const order = Array.from(scores.keys()).sort((a, b) => scores[b] - scores[a] || a - b);
    const top = order
      .slice(0, 10)
      .map((index) => ({ index, label: this.labels[index], logit: logits[index], score: scores[index] }));
    return { top, logits: logits.slice(), scores: scores.slice() };
  }

  /** What explanations and interventions may know of a pass. */
  here(tape = this.tape, interventions = this.interventions) {
    return {
      tensor: (path) => {
        if (!tape) throw new Error("no photograph was shown yet");
        const found = tape.get(path);
        if (!found) throw new Error(`there is no tensor "${path}"`);
        return found;
      },
      entry: (path) => {
        const found = this.entries.get(path);
        if (!found) throw new Error(`there is no tensor "${path}"`);
        return found;
      },
      acting: (path) => acting(interventions, path),
      paths: [...this.entries.keys()],
      params: this.params,
      processor: this.processor,
      seen: this.seen,
      grid: this.grid,
    };
  }

  sizeOfPicture(path, shape) {
    const { layer } = this.entries.get(path);
    if (shape.length === 3 && layer !== "attend") return { height: shape[0], width: shape[1] };
    return shape.length === 2 ? { height: this.grid.rows, width: this.grid.columns } : null;
  }

  ready() {
    if (this.clean === null) throw new Error("no photograph was shown yet");
  }
}

function norm(data) {
  return Math.sqrt(data.reduce((sum, value) => sum + value * value, 0));
}

function range(data) {
  return {
    low: data.reduce((a, b) => Math.min(a, b)),
    high: data.reduce((a, b) => Math.max(a, b)),
    mean: data.reduce((sum, value) => sum + value, 0) / data.length,
  };
}

function rowOf({ shape, data }, head, query) {
  const N = shape[2];
  const begin = (head * N + query) * N;
  return data.slice(begin, begin + N);
}

/** "stage 3, block 2" or "stage 3, block 2, head 5": counted from 0, as paths are. */
function nameOf({ path, head }) {
  const [, stage, , block] = path.split(".");
  return `stage ${stage}, block ${block}${head === undefined ? "" : `, head ${head}`}`;
}
