// Activations: elementwise functions between two linear layers.
//
//     gelu(x) = x Φ(x) = x/2 (1 + erf(x/√2))
//     relu(x) = max(x, 0)
//
// erf(x) = x P(x²) / Q(x²) for |x| ≤ 4.2, ±1 beyond, with the coefficients of npformer/layers/erf.py: the error is
// below 1.4e-8.
import { mapped } from "./tensor.js";

const P = [1.128379151, 0.187888275, 0.05247855069, 0.003673546231, 0.0002856695417, 2.108400263e-6];
const Q = [1.0, 0.4998445257, 0.1131251442, 0.01478412762, 0.001145413631, 3.873288285e-5];

/** Φ(x), the share of a normal distribution that lies below x. */
export function phi(x) {
  const t = Math.max(-4.2, Math.min(4.2, x * Math.SQRT1_2));
  const s = t * t;
  const p = P[0] + s * (P[1] + s * (P[2] + s * (P[3] + s * (P[4] + s * P[5]))));
  const q = Q[0] + s * (Q[1] + s * (Q[2] + s * (Q[3] + s * (Q[4] + s * Q[5]))));
  return 0.5 * (1 + Math.max(-1, Math.min(1, (t * p) / q)));
}

const sigmoid = (x) => 1 / (1 + Math.exp(-x));

/** Each by the name that a configuration gives it in `hidden_act`. */
export const ACTIVATIONS = {
  gelu: (x) => x * phi(x),
  relu: (x) => Math.max(x, 0),
  gelu_new: (x) => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3))),
  silu: (x) => x * sigmoid(x),
  quick_gelu: (x) => x * sigmoid(1.702 * x),
  sigmoid,
  tanh: (x) => Math.tanh(x),
  linear: (x) => x,
};

/** Apply an activation to every number, by its name. */
export function activate(x, name) {
  return mapped(x, ACTIVATIONS[name]);
}
