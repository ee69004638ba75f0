// Multilayer perceptron of images.
//
//     conv_mlp(x) = BN₂(conv₂(act(BN₁(conv₁(x)))))
//
// The two matrices are 1×1 convolutions: each pixel is widened, passed through the activation, and narrowed.
import { activate } from "./activations.js";
import { batch_norm } from "./batch_norm.js";
import { conv2d } from "./conv2d.js";

/** (H, W, C) -> (H, W, C) */
export function conv_mlp(x, p, activation, eps, run) {
  x = run("fc1", conv2d(x, p.fc1)); // (H, W, C) -> (H, W, 4C)
  x = run("norm1", batch_norm(x, p.norm1, eps));
  x = run("act", activate(x, activation));
  x = run("fc2", conv2d(x, p.fc2)); // (H, W, 4C) -> (H, W, C)
  return run("norm2", batch_norm(x, p.norm2, eps));
}
