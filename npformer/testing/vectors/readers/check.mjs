// Checks four layers, in three types, written here in JavaScript, against the test vectors of npformer.
//
//     npformer vectors OUT
//     node OUT/readers/check.mjs OUT
//
// It ends with code 0 if every output lies within its bounds, 1 if not, and 2 if the files cannot be
// used. To check your own layers, put them in place of these. Layout: channels_first.

import { checkLayers, round } from "./vectors.mjs";

/** Every number of images (B, C, H, W): its place in memory, its channel, row and column. */
function* places([B, C, H, W]) {
  for (let n = 0, place = 0; n < B; n++)
    for (let channel = 0; channel < C; channel++)
      for (let row = 0; row < H; row++)
        for (let column = 0; column < W; column++, place++) yield [place, channel, row, column];
}

/** Average of the window around each pixel minus the pixel; pixels outside do not count. */
function pooling({ x, dy }, { size }) {
  const [, , H, W] = x.shape;
  const reach = (size - 1) / 2;
  const y = new Float32Array(x.data.length);
  const dx = new Float32Array(x.data.length);
  for (const [place, , row, column] of places(x.shape)) {
    const [top, bottom] = [Math.max(row - reach, 0), Math.min(row + reach, H - 1)];
    const [left, right] = [Math.max(column - reach, 0), Math.min(column + reach, W - 1)];
    const count = (bottom - top + 1) * (right - left + 1);
    let sum = 0;
    for (let i = top; i <= bottom; i++)
      for (let j = left; j <= right; j++) {
        const other = place + (i - row) * W + (j - column);
        sum += x.data[other];
        dx[other] += dy.data[place] / count;
      }
    y[place] = sum / count - x.data[place];
    dx[place] -= dy.data[place];
  }
  return { y, dx };
}

/** (x − mean) / √(variance + ε) · weight + bias for each channel, in evaluation and in training. */
function batchNorm({ x, dy, ...p }, { eps }, training) {
  const C = x.shape[1];
  const [y, dx] = [new Float32Array(x.data.length), new Float32Array(x.data.length)];
  const [dweight, dbias] = [new Float32Array(C), new Float32Array(C)];
  const n = x.data.length / C;
  const mean = training ? new Float32Array(C) : p["p.running_mean"].data;
  const variance = training ? new Float32Array(C) : p["p.running_var"].data;
  if (training) {
    for (const [place, c] of places(x.shape)) mean[c] += x.data[place] / n;
    for (const [place, c] of places(x.shape)) variance[c] += (x.data[place] - mean[c]) ** 2 / n;
  }
  const sigma = variance.map((v) => Math.sqrt(v + eps));
  const weight = p["p.weight"].data;
  for (const [place, c] of places(x.shape)) {
    const hat = (x.data[place] - mean[c]) / sigma[c];
    y[place] = hat * weight[c] + p["p.bias"].data[c];
    dweight[c] += dy.data[place] * hat;
    dbias[c] += dy.data[place];
  }
  for (const [place, c] of places(x.shape)) {
    const hat = (x.data[place] - mean[c]) / sigma[c];
    const through = training ? (dbias[c] + hat * dweight[c]) / n : 0;
    dx[place] = (weight[c] / sigma[c]) * (dy.data[place] - through);
  }
  return { y, dx, "dp.weight": dweight, "dp.bias": dbias };
}

/** Softmax over the last axis. */
function softmax({ x, dy }) {
  const N = x.shape.at(-1);
  const [y, dx] = [new Float32Array(x.data.length), new Float32Array(x.data.length)];
  for (let first = 0; first < y.length; first += N) {
    const largest = Math.max(...x.data.subarray(first, first + N));
    let [sum, mean] = [0, 0];
    for (let i = first; i < first + N; i++) sum += y[i] = Math.exp(x.data[i] - largest);
    for (let i = first; i < first + N; i++) mean += dy.data[i] * (y[i] /= sum);
    for (let i = first; i < first + N; i++) dx[i] = y[i] * (dy.data[i] - mean);
  }
  return { y, dx };
}

/** x Wᵀ + b for each row. */
function linear(rows, { shape: [outputs, inputs], data: weight }, bias) {
  const y = new Float32Array((rows.length / inputs) * outputs);
  for (let r = 0; r < rows.length / inputs; r++)
    for (let o = 0; o < outputs; o++) {
      let sum = bias.data[o];
      for (let i = 0; i < inputs; i++) sum += rows[r * inputs + i] * weight[o * inputs + i];
      y[r * outputs + o] = sum;
    }
  return y;
}

/** Multi-head self-attention with a bias for each distance on the grid; forward only. */
function attention({ x, ...p }, { grid: [, columns] }) {
  const [B, N] = x.shape;
  const biases = p["p.attention_biases"];
  const heads = biases.shape[0];
  const V = p["p.proj.weight"].shape[1] / heads;
  const width = p["p.qkv.weight"].shape[0] / heads;
  const K = (width - V) / 2;
  const qkv = linear(x.data, p["p.qkv.weight"], p["p.qkv.bias"]);
  const context = new Float32Array(B * N * heads * V);
  const scores = new Float32Array(N);
  for (let b = 0; b < B; b++)
    for (let h = 0; h < heads; h++)
      for (let i = 0; i < N; i++) {
        const at = (token) => ((b * N + token) * heads + h) * width; // q, k, v of a token and head
        for (let j = 0; j < N; j++) {
          const down = Math.abs(Math.floor(i / columns) - Math.floor(j / columns));
          const across = Math.abs((i % columns) - (j % columns));
          let sum = 0;
          for (let k = 0; k < K; k++) sum += qkv[at(i) + k] * qkv[at(j) + K + k];
          scores[j] = sum / Math.sqrt(K) + biases.data[h * N + down * columns + across];
        }
        const { y: weights } = softmax({ x: { shape: [N], data: scores }, dy: { data: scores } });
        for (let v = 0; v < V; v++) {
          let sum = 0;
          for (let j = 0; j < N; j++) sum += weights[j] * qkv[at(j) + 2 * K + v];
          context[((b * N + i) * heads + h) * V + v] = sum;
        }
      }
  return { y: linear(context, p["p.proj.weight"], p["p.proj.bias"]) };
}

/** The same layers for numbers that are stored in 16 bits: computed in float32, and rounded at last. */
function inHalves(layers, type) {
  const halved = ([name, layer]) => [
    name,
    (given, ...rest) => ({ y: layer({ dy: given.x, ...given }, ...rest).y.map(round[type]) }),
  ];
  return Object.fromEntries(Object.entries(layers).map(halved));
}

if (process.argv.length !== 3) {
  console.error("usage: node check.mjs FOLDER, where `npformer vectors FOLDER` has written");
  process.exit(2);
}
try {
  const layers = { pooling, batch_norm: batchNorm, softmax, attention };
  let wrong = checkLayers(process.argv[2], layers);
  for (const type of ["float16", "bfloat16"])
    wrong += checkLayers(process.argv[2], inHalves(layers, type), type);
  process.exitCode = wrong ? 1 : 0;
} catch (error) {
  console.error(error.message);
  process.exitCode = 2;
}
