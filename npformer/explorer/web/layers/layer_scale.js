// Layer scale: a learned factor on each channel of a residual branch.
//
//     layer_scale(x) = γ · x
import { tensor } from "./tensor.js";

/** (…, C) -> (…, C); a network without layer scale has null for `p`, which does nothing */
export function layer_scale(x, p) {
  if (p === null) return x;
  const C = p.gamma.length;
  const y = tensor(x.shape);
  for (let i = 0; i < y.data.length; i += C) {
    for (let c = 0; c < C; c++) y.data[i + c] = x.data[i + c] * p.gamma[c];
  }
  return y;
}
