// Downsampling between stages.
//
//     downsample(x) = BN(conv(x))             3×3, stride 2: half the resolution, the next width
import { batch_norm } from "./batch_norm.js";
import { conv2d } from "./conv2d.js";

/** (H, W, C) -> (⌈H/2⌉, ⌈W/2⌉, C') */
export function downsample(x, p, stride, padding, eps, run) {
  x = run("conv", conv2d(x, p.conv, stride, padding));
  return run("norm", batch_norm(x, p.norm, eps));
}
