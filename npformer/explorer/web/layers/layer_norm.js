// Layer normalization over the last axis.
//
//     y = (x − mean(x)) / √(variance(x) + ε) · weight + bias
//
// Mean and variance are those of each token by itself.
import { tensor } from "./tensor.js";

/** (N, C) -> (N, C) */
export function layer_norm(x, p, eps) {
  const C = p.weight.length;
  const y = tensor(x.shape);
  for (let i = 0; i < y.data.length; i += C) {
    let mean = 0;
    for (let c = 0; c < C; c++) mean += x.data[i + c] / C;
    let variance = 0;
    for (let c = 0; c < C; c++) variance += (x.data[i + c] - mean) ** 2 / C;
    const deviation = Math.sqrt(variance + eps);
    for (let c = 0; c < C; c++) {
      y.data[i + c] = ((x.data[i + c] - mean) / deviation) * p.weight[c] + p.bias[c];
    }
  }
  return y;
}
