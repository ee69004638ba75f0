// Interventions as small objects and as the words of an address.

/** What each kind says besides its name. */
export const INTERVENTIONS = {
  block: ["path"],
  branch: ["path"],
  head: ["path", "head"],
  biases: ["path"],
  subtraction: ["path"],
  scale: ["path"],
  channel: ["path", "channel"],
  activation: ["path", "activation"],
  noise: ["path", "strength", "seed"],
  value: ["path", "index", "value"],
};

/** As words: "head:stages.3.blocks.2.token_mixer:3;block:stages.0.blocks.1". */
export function formatInterventions(interventions) {
  return interventions
    .map((each) => [each.kind, ...INTERVENTIONS[each.kind].map((field) => String(each[field]))].join(":"))
    .join(";");
}

/** The reverse of `formatInterventions`. */
export function parseInterventions(text) {
  return text
    .split(";")
    .filter(Boolean)
    .map((part) => {
      const [kind, ...words] = part.split(":");
      const fields = Object.hasOwn(INTERVENTIONS, kind) ? INTERVENTIONS[kind] : null;
      if (fields === null || words.length !== fields.length)
        throw new Error(`"${part}" is not an intervention`);
      return { kind, ...Object.fromEntries(fields.map((field, i) => [field, fieldFrom(field, words[i])])) };
    });
}

function fieldFrom(field, word) {
  if (field === "path" || field === "activation") return word;
  return field === "index" ? word.split(",").map(Number) : Number(word);
}
