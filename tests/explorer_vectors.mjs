// The layers and the network of the explorer's page, asked for the answers to test vectors.
//
// `answerVectors(questions)` is left in `globalThis`, so that Node and a browser ask in the same way: Node imports this
// module, a browser runs it and all that it imports as `npformer.explorer.bundle` lays them behind each other for a page.
// The page takes one photograph at a time, so each of a batch is computed by itself.
import { activate } from "../npformer/explorer/web/layers/activations.js";
import { attention } from "../npformer/explorer/web/layers/attention.js";
import { attention_block } from "../npformer/explorer/web/layers/attention_block.js";
import { batch_norm } from "../npformer/explorer/web/layers/batch_norm.js";
import { conv2d } from "../npformer/explorer/web/layers/conv2d.js";
import { conv_mlp } from "../npformer/explorer/web/layers/conv_mlp.js";
import { downsample } from "../npformer/explorer/web/layers/downsample.js";
import { layer_norm } from "../npformer/explorer/web/layers/layer_norm.js";
import { layer_scale } from "../npformer/explorer/web/layers/layer_scale.js";
import { linear } from "../npformer/explorer/web/layers/linear.js";
import { mlp } from "../npformer/explorer/web/layers/mlp.js";
import { pooling } from "../npformer/explorer/web/layers/pooling.js";
import { pooling_block } from "../npformer/explorer/web/layers/pooling_block.js";
import { bias } from "../npformer/explorer/web/layers/position_bias.js";
import { EVALUATION, runOf } from "../npformer/explorer/web/layers/run.js";
import { softmax } from "../npformer/explorer/web/layers/softmax.js";
import { stem } from "../npformer/explorer/web/layers/stem.js";
import { count, mapped, tensor } from "../npformer/explorer/web/layers/tensor.js";
import { forward, steps } from "../npformer/explorer/web/network/model.js";
import { completed, treeOf } from "../npformer/explorer/web/network/params.js";

/** Each layer that the page has, by its name in the test vectors: (x, p, options) -> y */
const LAYERS = {
  linear: (x, p) => linear(x, p),
  conv2d: (x, p, { stride, padding }) => conv2d(x, p, stride, padding),
  batch_norm: (x, p, { eps }) => batch_norm(x, p, eps),
  layer_norm: (x, p, { eps }) => layer_norm(x, p, eps),
  softmax: (x) => softmax(x),
  gelu: (x) => activate(x, "gelu"),
  relu: (x) => activate(x, "relu"),
  gelu_new: (x) => activate(x, "gelu_new"),
  silu: (x) => activate(x, "silu"),
  quick_gelu: (x) => activate(x, "quick_gelu"),
  pooling: (x, p, { size }) => pooling(x, size),
  layer_scale: (x, p) => layer_scale(x, p),
  attention: (x, p) => attention(x, p, widthOfKeys(p), EVALUATION),
  mlp: (x, p, { activation }) => mlp(x, p, activation, EVALUATION),
  conv_mlp: (x, p, { activation, eps }) => conv_mlp(x, p, activation, eps, EVALUATION),
  pooling_block: (x, p, { pool_size, activation, eps }) =>
    pooling_block(x, p, pool_size, activation, eps, EVALUATION),
  attention_block: (x, p, { activation, eps }) =>
    attention_block(x, p, widthOfKeys(p.token_mixer), activation, eps, EVALUATION),
  downsample: (x, p, { stride, padding, eps }) => downsample(x, p, stride, padding, eps, EVALUATION),
  stem: (x, p, { eps }) => stem(x, p, eps, EVALUATION),
};

/** The biases of all heads, queries and keys: (heads, rows, columns) -> (heads, N, N) */
function relative_position_bias(table) {
  const [heads, rows, columns] = table.shape;
  const N = rows * columns;
  const place = (at) => [Math.floor(at / (N * N)), Math.floor(at / N) % N, at % N]; // head, query, key
  return mapped(tensor([heads, N, N]), (_, at) => bias(table, ...place(at)));
}

function widthOfKeys({ qkv, proj, attention_biases: { shape } }) {
  const heads = shape[0];
  return (qkv.weight.shape[0] / heads - proj.weight.shape[1] / heads) / 2;
}

/** Each of a batch. */
function batch({ shape: [, ...shape], data }) {
  const each = count(shape);
  return Array.from({ length: data.length / each }, (_, i) =>
    tensor(shape, Float32Array.from(data.slice(i * each, (i + 1) * each))),
  );
}

/** A batch again, of plain numbers. */
function together(tensors) {
  return { shape: [tensors.length, ...tensors[0].shape], data: tensors.flatMap(({ data }) => [...data]) };
}

function tree(params) {
  return treeOf(params.map((each) => ({ ...each, data: Float32Array.from(each.data) })));
}

function answerLayer({ layer, x, params, options }) {
  if (layer === "relative_position_bias") {
    const { shape, data } = relative_position_bias(tensor(x.shape, Float32Array.from(x.data)));
    return { y: { shape, data: [...data] } };
  }
  if (!Object.hasOwn(LAYERS, layer)) return null;
  const p = layer.endsWith("_block") ? { ls1: null, ls2: null, ...tree(params) } : tree(params);
  return { y: together(batch(x).map((each) => LAYERS[layer](each, p, options))) };
}

/** Every tensor of a network by its path; one without a head ends with its last block. */
function answerNetwork({ config, x, params }) {
  const p = completed(tree(params), config);
  const list = steps(p, config).filter(({ kind }) => kind !== "head" || p.head !== undefined);
  const seen = new Map();
  const run = runOf((path, value) => {
    seen.set(path, [...(seen.get(path) ?? []), value]);
    return value;
  });
  for (const each of batch(x)) forward(each, list, run);
  return Object.fromEntries([...seen].map(([path, tensors]) => [path, together(tensors)]));
}

/** The answer to each question, {name: {shape, data}}; null for a layer that the page does not have. */
globalThis.answerVectors = (questions) =>
  questions.map((question) => (question.config ? answerNetwork(question) : answerLayer(question)));
