// Intervening: one part of the network switched off or changed.
//
// Each is a small object that JSON can hold. It says at which tensor it acts; the run hands it that tensor and all
// that came before, and goes on with what it gives back. So the layers know nothing of interventions.
import { scaledScores, weigh } from "./layers/attend.js";
import { ACTIVATIONS, activate } from "./layers/activations.js";
import { add, mapped, offset, tensor } from "./layers/tensor.js";
import { formatInterventions, INTERVENTIONS } from "./interventions.js";
import { at } from "./network/params.js";

/**
 * Each kind: the tensors at which it acts, and what it makes of one.
 *
 * `here` gives the rest of the pass: the tensors so far, by path; the parameters; the catalog. Kinds that compute a
 * tensor anew come before those that change what is there.
 */
const KINDS = {
  activation: {
    acts: ({ path }, at) => (path === "*" ? at.endsWith(".mlp.act") : at === path),
    change: (x, { activation }, here, at) => activate(here.tensor(here.entry(at).inputs[0]), activation),
  },
  biases: {
    acts: ({ path }, at) => at === `${path}.attn`,
    change: (x, { path }, here) => {
      const { shape } = at(here.params, path).attention_biases;
      return weigh(
        scaledScores(here.tensor(`${path}.qkv`), shape[0], here.entry(`${path}.attn`).options.K),
        tensor(shape),
      );
    },
  },
  subtraction: {
    acts: ({ path }, at) => at === path,
    change: (x, { path }, here) => add(x, here.tensor(here.entry(path).inputs[0])),
  },
  scale: {
    acts: ({ path }, at) => at === path,
    change: (x, { path }, here) => here.tensor(here.entry(path).inputs[0]),
  },
  noise: {
    acts: ({ path }, at) => at === path,
    change: (x, { strength, seed }) => {
      const draw = normals(seed);
      const size = strength * deviation(x.data);
      return mapped(x, (value) => value + size * draw());
    },
  },
  value: {
    acts: ({ path }, at) => at === path,
    change: (x, { index, value }) => {
      const moved = mapped(x, (number) => number);
      moved.data[offset(x.shape, index)] = value;
      return moved;
    },
  },
  channel: {
    acts: ({ path }, at) => at === path,
    change: (x, { channel }) =>
      tensor(
        x.shape,
        x.data.map((value, i) => (i % x.shape.at(-1) === channel ? 0 : value)),
      ),
  },
  head: {
    acts: ({ path }, at) => at === `${path}.attn`,
    change: (x, { head }) => {
      const each = x.shape[1] * x.shape[2];
      return tensor(
        x.shape,
        x.data.map((value, i) => (Math.floor(i / each) === head ? 0 : value)),
      );
    },
  },
  branch: { acts: ({ path }, at) => at === path, change: (x) => tensor(x.shape) },
  block: {
    acts: ({ path }, at) => at === `${path}.ls1` || at === `${path}.ls2`,
    change: (x) => tensor(x.shape),
  },
};

/** The tensor that a pass goes on with in place of x, which it has made at this path. */
export function changed(interventions, x, path, here) {
  for (const [kind, { acts, change }] of Object.entries(KINDS)) {
    for (const each of interventions) {
      if (each.kind === kind && acts(each, path)) x = change(x, each, here, path);
    }
  }
  return x;
}

/** Whether any of the interventions acts at this path. */
export function acting(interventions, path) {
  return interventions.some((each) => KINDS[each.kind].acts(each, path));
}

/** Refuse what no pass could do; `here` as above, of a pass without interventions. */
export function checkInterventions(interventions, here) {
  for (const each of interventions) {
    if (!Object.hasOwn(KINDS, each.kind))
      throw new Error(`no intervention is called "${each.kind}"; there are ${Object.keys(KINDS).join(", ")}`);
    const kind = KINDS[each.kind];
    for (const field of INTERVENTIONS[each.kind]) {
      if (each[field] === undefined) throw new Error(`the intervention "${each.kind}" needs "${field}"`);
    }
    const places = here.paths.filter(
      (path) => kind.acts(each, path) && fits(each, here.entry(path), here.tensor(path)),
    );
    if (places.length === 0)
      throw new Error(`there is nothing to do for ${formatInterventions([each])} in this network`);
  }
}

/** Whether an intervention makes sense for a tensor that has its path. */
function fits({ kind, head, channel, index, value, strength, seed, activation }, { path, layer }, { shape }) {
  const below = (number, limit) => Number.isInteger(number) && number >= 0 && number < limit;
  switch (kind) {
    case "activation":
      return path.endsWith(".mlp.act") && Object.hasOwn(ACTIVATIONS, activation);
    case "subtraction":
      return layer === "pooling";
    case "scale":
      return layer === "layer_scale";
    case "branch":
      return path.endsWith(".ls1") || path.endsWith(".ls2");
    case "head":
      return below(head, shape[0]);
    case "channel":
      return below(channel, shape.at(-1));
    case "noise":
      return Number.isFinite(strength) && Number.isInteger(seed);
    case "value":
      return (
        Number.isFinite(value) &&
        index.length === shape.length &&
        index.every((i, axis) => below(i, shape[axis]))
      );
    default:
      return true;
  }
}

/** A source of normal numbers: Marsaglia's xorshift (2003) and the transform of Box and Muller (1958). */
export function normals(seed) {
  let state = Math.imul(seed + 1, 2654435761) >>> 0 || 1;
  const uniform = () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return ((state >>> 0) + 0.5) / 2 ** 32;
  };
  return () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform());
}

function deviation(data) {
  const mean = data.reduce((sum, value) => sum + value, 0) / data.length;
  return Math.sqrt(data.reduce((sum, value) => sum + (value - mean) ** 2, 0) / data.length);
}
