// Stem: from pixels to the first features.
//
//     x ← relu(BN₁(conv₁(x)))                 3×3, stride 2: half the resolution, C₁/2 channels
//     x ← relu(BN₂(conv₂(x)))                 3×3, stride 2: a quarter, C₁ channels
import { activate } from "./activations.js";
import { batch_norm } from "./batch_norm.js";
import { conv2d } from "./conv2d.js";

/** (H, W, 3) -> (⌈H/4⌉, ⌈W/4⌉, C₁) */
export function stem(x, p, eps, run) {
  x = run("conv1", conv2d(x, p.conv1, 2, 1)); // -> (H/2, W/2, C₁/2)
  x = run("norm1", batch_norm(x, p.norm1, eps));
  x = run("act1", activate(x, "relu"));
  x = run("conv2", conv2d(x, p.conv2, 2, 1)); // -> (H/4, W/4, C₁)
  x = run("norm2", batch_norm(x, p.norm2, eps));
  return run("act2", activate(x, "relu"));
}
