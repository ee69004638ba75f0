// Batch normalization of the last axis, with the statistics that training left behind.
//
//     y = (x − mean) / √(variance + ε) · weight + bias             per channel
import { tensor } from "./tensor.js";

/** (…, C) -> (…, C) */
export function batch_norm(x, p, eps) {
  const C = p.weight.length;
  const y = tensor(x.shape);
  const scale = Float64Array.from(p.weight, (weight, c) => weight / Math.sqrt(p.running_var[c] + eps));
  for (let i = 0; i < y.data.length; i += C) {
    for (let c = 0; c < C; c++) {
      y.data[i + c] = (x.data[i + c] - p.running_mean[c]) * scale[c] + p.bias[c];
    }
  }
  return y;
}
