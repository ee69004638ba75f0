// A button that switches an intervention on and off.

import { h } from "./ui_dom.js";

/** A button that is down while an intervention is on; `name` says what the words alone do not. */
export function switchButton(app, intervention, words, name = null) {
  return h(
    "button",
    {
      type: "button",
      class: "off",
      id: `change-${app.wordsOf(intervention)}`,
      "aria-pressed": app.changeLike(intervention) !== undefined,
      "aria-label": name,
      onclick: () => app.toggle(intervention),
    },
    words,
  );
}

/** Activations by the names that people give them. */
const CURVES = { gelu: "GELU", gelu_new: "GELU", quick_gelu: "GELU", relu: "ReLU", silu: "SiLU" };

/** Name of an activation for people. */
export function curveName(activation) {
  return CURVES[activation] ?? activation;
}

/** The button that puts ReLU in the place of a network's own activation, in one MLP or, by "*", in all; null if it is ReLU. */
export function reluButton(app, path) {
  const own = app.explorer.network.config.hidden_act;
  if (own === "relu") return null;
  const everywhere = path === "*" ? " in every block" : "";
  return switchButton(
    app,
    { kind: "activation", path, activation: "relu" },
    `${curveName(own)} by ReLU${everywhere}`,
  );
}
