// Attention block: a MetaFormer block on tokens.
//
//     x ← x + γ₁ · attention(LN(x))           let all tokens exchange
//     x ← x + γ₂ · mlp(LN(x))                 work on each token
import { attention } from "./attention.js";
import { layer_norm } from "./layer_norm.js";
import { layer_scale } from "./layer_scale.js";
import { mlp } from "./mlp.js";
import { add, reshape } from "./tensor.js";

/** (N, C) -> (N, C) */
export function attention_block(x, p, K, activation, eps, run) {
  let y = run("norm1", layer_norm(x, p.norm1, eps));
  y = run("token_mixer", attention(y, p.token_mixer, K, run.within("token_mixer")));
  x = run("residual1", add(x, run("ls1", layer_scale(y, p.ls1))));
  y = run("norm2", layer_norm(x, p.norm2, eps));
  y = run("mlp", mlp(y, p.mlp, activation, run.within("mlp")));
  return add(x, run("ls2", layer_scale(y, p.ls2)));
}

/** Read an image row by row as a sequence of tokens: (H, W, C) -> (H·W, C) */
export function flat(x) {
  const [H, W, C] = x.shape;
  return reshape(x, [H * W, C]);
}
