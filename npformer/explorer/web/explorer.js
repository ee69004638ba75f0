// The network as the page sees it: what it may ask, and what comes back.
//
// The network runs in a Web Worker, so that the page never waits. Every question is a promise:
//
//   const explorer = await Explorer.open();         // from the page's own data; an Error says what is damaged
//   explorer.network                                // Network, below
//   explorer.photographs                            // [{name, title, url, width, height}], url is a data URL
//
//   await explorer.show({width, height, data})      // -> Answer. RGBA bytes of a photograph of any size, as a
//                                                   //    canvas gives them. Interventions stay as they are.
//   await explorer.intervene([Intervention, …])     // -> Answer. The whole list; [] resets. Only what comes behind
//                                                   //    the first change is computed anew.
//   await explorer.pixels()                         // -> {width, height, data}: RGBA, what the network sees,
//                                                   //    and {left, top, scale…}: see `seen` below
//   await explorer.tensor(path, clean)              // -> {path, shape, data: Float32Array, clean: the same before
//                                                   //    interventions}; channels last, no batch axis
//   await explorer.picture(path, channel, clean)    // -> {width, height, values: Float32Array, low, high} or null.
//                                                   //    One channel, or without `channel` the mean of all
//   await explorer.pictures(clean)                  // -> {path: picture} of every tensor that is one, for the map
//   await explorer.block(path)                      // -> Block, below
//   await explorer.explainNumber(path, index)       // -> Explanation, below; index is a list: [y, x, channel], [token,
//                                                   //    channel], [head, query, key], [channel] or [class]
//   await explorer.receptiveField(path, index)      // -> {top, left, bottom, right, whole}: pixels of what the network
//                                                   //    sees that can change this number; bottom, right not included
//   await explorer.attention(path, token)           // -> Attention, below; path of the mixer: "stages.3.blocks.3.token_mixer"
//   await explorer.rank({kinds, progress, signal})  // -> [Ranked, …]: every block and head switched off in turn, the
//                                                   //    strongest effect first; progress(done, all, rankedSoFar)
//   await explorer.curve(name, low, high, count)    // -> {x, y: Float32Array}: an activation, to draw it
//   explorer.close()
//
// A question about a photograph before the first `show` is an Error. `show` and `intervene` that come while others
// still wait drop these: a dropped promise gives null, so painting asks as often as it likes.
//
//   Network       {title, config, labels, imageSize: {width, height}, grid: {rows, columns}, heads, parameters (count),
//                  steps: [{path, kind, tensors: [{path, shape, layer}]}], sources, weights: {type, exact}}
//                 A step is what the map shows: kind is "stem", "downsample", "pooling_block", "flat",
//                 "attention_block" or "head". `layer` is the kind of the layer that made the tensor, a key of
//                 `sources`: "conv2d", "linear", "batch_norm", "layer_norm", "gelu", "relu", "pooling", "softmax",
//                 "layer_scale", "residual", "attend", "mean", "average", "normalize" … .
//                 sources[name] = {file, equation, code}: the head of the file and the function, from npformer/layers.
//                 Paths are those of `npformer.Trace`, plus: "pixel_values" (what enters the stem), "logits",
//                 "scores", "….token_mixer.context", the weighted sums of values side by side, and "….residual1" of a
//                 block: what the first branch has added to, and the second branch reads.
//   Answer        {top: [{index, label, logit, score}] (10), logits, scores: Float32Array, changed: whether
//                  interventions are on, clean: {top, logits, scores}, recomputed: path of the first step that
//                  was computed anew, milliseconds}
//   Block         {path, kind, inputs: path, output: path, change: ‖output − input‖ / ‖input‖,
//                  branches: [{path, name: "mixer" | "mlp", share: ‖branch‖ / ‖input‖}], tensors: [{path, shape, layer,
//                  low, mean, high}]}
//   Attention     {token, rows, columns, heads: [{weights, scores, biases: Float32Array of rows·columns; table:
//                  Float32Array of rows·columns, by distance (down, across)}]}: scores are q·k scaled, without bias
//   Ranked        {intervention, kind: "block" | "head", path, head, label, change: score of the first answer after
//                  minus before, logit: the same of its logit, first: index of the first answer then, flipped}
//   Explanation   {path, index, value, layer, equation, sentence, parts: [Part, …]}
//                 value is the number in the tensor; the last part's `total` is the same number but for float32's
//                 rounding. Every part can be added up by hand:
//   Part          {name, op, terms: [Term, …], total}
//                 op "sum"        total = Σ term.value
//                    "products"   total = Σ a · b, each term {a: Term, b: Term, value, outside}
//                    "mean"       total = Σ term.value / number of terms
//                    "squares"    total = mean of term.value², the variance of centered numbers
//                    "difference" total = first − second;   "product" total = Π term.value
//                    "quotient"   total = first / second;   "max"     total = the largest term
//                    "deviation"  total = √(first + second): the root of variance + ε
//                    "exp"        total = exp(first);       "gelu"    total = gelu(first), with phi = Φ(first)
//                    "relu" and other activations by their name; "same" total = first: another name of one number
//   Term          {label, value, path, index}    a number of another tensor: click to go there
//                 {label, value, parameter, index}    a parameter, by timm's key
//                 {label, value, part}           the total of an earlier part of this explanation
//                 {label, value}                 a constant, such as ε; `outside: true`: a zero of the padding
//   Intervention  {kind: "block", path}                 both branches add nothing: the block passes its input on
//                 {kind: "branch", path: "….ls1"}       one branch adds nothing (ls1: the mixer's, ls2: the MLP's)
//                 {kind: "head", path: "….token_mixer", head}          its weighted sum is zero
//                 {kind: "biases", path: "….token_mixer"}              scores without attention biases
//                 {kind: "subtraction", path: "….token_mixer"}         pooling keeps the pixel itself
//                 {kind: "scale", path: "….ls1" | "….ls2"}             γ = 1
//                 {kind: "channel", path, channel}                     zero everywhere in this tensor
//                 {kind: "activation", path: "….act", activation: "relu"}   path "*": all MLPs
//                 {kind: "noise", path, strength, seed}   normal noise, strength × the tensor's deviation
//                 {kind: "value", path, index, value}     one number moved by hand
//                 As words of an address: formatInterventions(list) and parseInterventions(text), of interventions.js.
//   seen          what `show` did to the photograph: {scaleX, scaleY, left, top}: pixel (x, y) of the photograph lies
//                 at (x · scaleX − left, y · scaleY − top) of what the network sees; part of `pixels()`.
//
// The page's data are three elements: "explorer-data" of type application/json, and of type text/plain
// "explorer-weights", "explorer-engine" (the worker's source). `npformer/explorer/page.py` fills the places
// {{title}}, {{style}}, {{data}}, {{weights}}, {{engine}} and {{page}} of page.html: {{style}} from page.css, {{page}}
// from page.js and whatever it imports, {{data}} with lessons/*.json under `lessons`. Modules import only by
// `import { a, b } from "./file.js";` and export only by `export function | class | const`: they are laid behind
// each other in one scope, so no two files of one bundle may give the same name to two things at their top level.

export class Explorer {
  /** Start the network of the page's own data. */
  static async open() {
    const data = textOf("explorer-data");
    const explorer = new Explorer(textOf("explorer-engine"), readJson(data));
    const weights = document.getElementById("explorer-weights");
    explorer.network.steps = await explorer.ask("open", data, textOf("explorer-weights"));
    weights.textContent = ""; // the worker has them
    return explorer;
  }

  constructor(engine, data) {
    const { photographs, manifest, ...network } = data;
    this.photographs = photographs;
    this.network = network;
    this.questions = new Map(); // id of a question -> {resolve, reject, progress}
    this.asked = 0;
    this.waiting = new Map(); // show, intervene: what is asked next
    const source = URL.createObjectURL(new Blob([engine], { type: "text/javascript" }));
    this.worker = new Worker(source);
    this.worker.onmessage = ({ data: message }) => this.answered(message);
    this.worker.onerror = ({ message }) =>
      this.broken(`the network stopped: ${message || "its program in this page is damaged"}`);
    URL.revokeObjectURL(source);
  }

  show({ width, height, data }) {
    return this.latest("show", { width, height, data });
  }

  intervene(interventions) {
    return this.latest("intervene", interventions);
  }

  pixels() {
    return this.ask("pixels");
  }

  tensor(path, clean = false) {
    return this.ask("tensor", path, clean);
  }

  picture(path, channel = null, clean = false) {
    return this.ask("picture", path, channel, clean);
  }

  pictures(clean = false) {
    return this.ask("pictures", clean);
  }

  block(path) {
    return this.ask("block", path);
  }

  async explainNumber(path, index) {
    const explanation = await this.ask("explainNumber", path, index);
    return { ...explanation, equation: this.network.sources[explanation.layer]?.equation ?? "" };
  }

  receptiveField(path, index) {
    return this.ask("receptiveField", path, index);
  }

  attention(path, token) {
    return this.ask("attention", path, token);
  }

  curve(name, low = -4, high = 4, count = 161) {
    return this.ask("curve", name, low, high, count);
  }

  /** Gives null if it was stopped, or another photograph was shown meanwhile. */
  rank({ kinds = ["block", "head"], progress = () => {}, signal } = {}) {
    const ranked = this.ask("rank", kinds);
    const id = this.asked;
    this.questions.get(id).progress = (message) => progress(...message);
    signal?.addEventListener("abort", () => this.questions.has(id) && this.ask("stop", id));
    return ranked;
  }

  close() {
    this.worker.terminate();
    this.broken("the network was closed");
  }

  /** Ask now. */
  ask(method, ...args) {
    const id = ++this.asked;
    return new Promise((resolve, reject) => {
      this.questions.set(id, { resolve, reject });
      this.worker.postMessage({ id, method, args });
    });
  }

  /** Ask when the same question before it is answered; what waits already is dropped. */
  async latest(method, ...args) {
    const queue = this.waiting.get(method);
    if (queue) {
      queue.drop?.(null);
      return new Promise((resolve, reject) => {
        this.waiting.set(method, {
          drop: resolve,
          next: () => this.latest(method, ...args).then(resolve, reject),
        });
      });
    }
    this.waiting.set(method, {});
    try {
      return await this.ask(method, ...args);
    } finally {
      const { next } = this.waiting.get(method);
      this.waiting.delete(method);
      next?.();
    }
  }

  answered({ id, result, error, progress }) {
    const { resolve, reject, progress: tell } = this.questions.get(id) ?? {};
    if (progress) return tell?.(progress);
    this.questions.delete(id);
    return error === undefined ? resolve?.(result) : reject?.(new Error(error));
  }

  broken(message) {
    for (const { reject } of this.questions.values()) reject(new Error(message));
    this.questions.clear();
  }
}

function textOf(id) {
  const found = document.getElementById(id);
  if (!found || found.textContent.trim() === "")
    throw new Error(`this page is damaged: a part of it, "${id}", is missing; make it again`);
  return found.textContent;
}

function readJson(text) {
  try {
    return JSON.parse(text);
  } catch {
    throw new Error("this page is damaged: its data cannot be read; make it again");
  }
}
