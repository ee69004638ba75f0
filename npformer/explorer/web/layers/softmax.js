// Softmax over the last axis.
//
//     softmax(x)ᵢ = exp(xᵢ − max x) / Σⱼ exp(xⱼ − max x)
import { tensor } from "./tensor.js";

/** Turn scores into positive weights that sum to one: (…, N) -> (…, N) */
export function softmax(x) {
  const N = x.shape.at(-1);
  const y = tensor(x.shape);
  for (let i = 0; i < y.data.length; i += N) {
    const row = x.data.subarray(i, i + N);
    const largest = row.reduce((a, b) => Math.max(a, b));
    const e = Float64Array.from(row, (value) => Math.exp(value - largest));
    const sum = e.reduce((a, b) => a + b);
    for (let j = 0; j < N; j++) y.data[i + j] = e[j] / sum;
  }
  return y;
}
