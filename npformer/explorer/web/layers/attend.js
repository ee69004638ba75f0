// Scaled dot-product attention with a bias.
//
//     attn = softmax(scale · q kᵀ + bias)        y = attn v                for each head
//
// Every query compares itself with every key, and takes over the values accordingly. The columns of qkv run head by
// head, within a head q, k, v.
import { bias } from "./position_bias.js";
import { softmax } from "./softmax.js";
import { tensor } from "./tensor.js";
import { dot } from "./linear.js";

/** Where q, k and v of a head begin in a row of qkv, and how wide the row, a key and a value are. */
export function layout(qkv, heads, K) {
  const width = qkv.shape[1];
  const each = width / heads;
  const V = each - 2 * K;
  return {
    width,
    K,
    V,
    q: (head) => head * each,
    k: (head) => head * each + K,
    v: (head) => head * each + 2 * K,
  };
}

/** scale · q kᵀ without the bias: (N, heads·(2K + V)) -> (heads, N, N) */
export function scaledScores(qkv, heads, K) {
  const { width, q, k } = layout(qkv, heads, K);
  const N = qkv.shape[0];
  const scores = tensor([heads, N, N]);
  let at = 0;
  for (let head = 0; head < heads; head++) {
    for (let i = 0; i < N; i++) {
      for (let j = 0; j < N; j++) {
        scores.data[at++] = dot(qkv.data, i * width + q(head), qkv.data, j * width + k(head), K) * K ** -0.5;
      }
    }
  }
  return scores;
}

/** softmax(scores + bias): (heads, N, N) -> (heads, N, N) */
export function weigh(scores, biases) {
  const [, N] = scores.shape;
  const biased = scores.data.map((score, at) => {
    const key = at % N,
      query = Math.floor(at / N) % N,
      head = Math.floor(at / (N * N));
    return score + bias(biases, head, query, key);
  });
  return softmax(tensor(scores.shape, biased));
}

/** attn v, the heads side by side: (heads, N, N) and (N, heads·(2K + V)) -> (N, heads·V) */
export function weightedSums(attn, qkv, K) {
  const [heads, N] = attn.shape;
  const { width, V, v } = layout(qkv, heads, K);
  const y = tensor([N, heads * V]);
  const sums = new Float64Array(V);
  for (let head = 0; head < heads; head++) {
    for (let i = 0; i < N; i++) {
      sums.fill(0);
      for (let j = 0; j < N; j++) {
        const weight = attn.data[(head * N + i) * N + j];
        const from = j * width + v(head);
        for (let d = 0; d < V; d++) sums[d] += weight * qkv.data[from + d];
      }
      y.data.set(sums, i * heads * V + head * V);
    }
  }
  return y;
}

/** (N, heads·(2K + V)) -> (N, heads·V) */
export function attend(qkv, biases, K, run) {
  const scores = scaledScores(qkv, biases.shape[0], K); // (heads, N, N)
  const attn = run("attn", weigh(scores, biases));
  return run("context", weightedSums(attn, qkv, K));
}
