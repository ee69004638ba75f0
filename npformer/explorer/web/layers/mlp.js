// Multilayer perceptron of tokens.
//
//     mlp(x) = act(x W₁ + b₁) W₂ + b₂
import { activate } from "./activations.js";
import { linear } from "./linear.js";

/** (N, C) -> (N, C) */
export function mlp(x, p, activation, run) {
  x = run("fc1", linear(x, p.fc1)); // (N, C) -> (N, 4C)
  x = run("act", activate(x, activation));
  return run("fc2", linear(x, p.fc2)); // (N, 4C) -> (N, C)
}
