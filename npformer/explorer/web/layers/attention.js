// Multi-head self-attention with attention biases.
//
//     q, k, v = split(x W_qkv + b_qkv)                        for each head
//     attn    = softmax(q kᵀ / √K + bias)                     (N, N) for each head: `attend`
//     y       = concat over heads(attn v) W_proj + b_proj
import { attend } from "./attend.js";
import { linear } from "./linear.js";

/** (N, C) -> (N, C); K is the width of a key */
export function attention(x, p, K, run) {
  const qkv = run("qkv", linear(x, p.qkv)); // (N, C) -> (N, heads·(2K + V))
  const y = attend(qkv, p.attention_biases, K, run);
  return run("proj", linear(y, p.proj)); // (N, heads·V) -> (N, C)
}
