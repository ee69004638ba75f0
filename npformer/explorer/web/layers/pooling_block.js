// Pooling block: a MetaFormer block on images.
//
//     x ← x + γ₁ · (pool(x) − x)              mix neighboring pixels
//     x ← x + γ₂ · conv_mlp(x)                work on each pixel
import { conv_mlp } from "./conv_mlp.js";
import { layer_scale } from "./layer_scale.js";
import { pooling } from "./pooling.js";
import { add } from "./tensor.js";

/** (H, W, C) -> (H, W, C) */
export function pooling_block(x, p, pool_size, activation, eps, run) {
  let y = run("token_mixer", pooling(x, pool_size));
  x = run("residual1", add(x, run("ls1", layer_scale(y, p.ls1))));
  y = run("mlp", conv_mlp(x, p.mlp, activation, eps, run.within("mlp")));
  return add(x, run("ls2", layer_scale(y, p.ls2)));
}
