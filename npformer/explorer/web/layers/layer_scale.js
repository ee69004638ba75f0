// Layer scale: a learned factor on each channel of a residual branch.
//
//     layer_scale(x) = γ · x
import { tensor } from "./tensor.js";

/** (…, C) -> (…, C); a network without layer scale has null for `p`, which does nothing */
export function layer_scale(x, p) {
  if (p === null) return x;
  const C = p.gamma.length;
  return tensor(x.shape, x.data.map((value, i) => value * p.gamma[i % C]));
}
