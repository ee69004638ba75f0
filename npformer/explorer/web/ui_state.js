// What is shown and what is changed, as one plain object, and as the part of the address behind "#".
// A link is a finding: whoever opens it sees the same photograph, number and changes. A step of a
// lesson says what to show in the same words.

/** The page as it opens. */
export function firstState() {
  return {
    photo: "", // name of a photograph that the page holds, "own" for the reader's, "" for the first
    paint: [], // dabs of the brush: { y, x, radius, color }
    view: "map", // "map", "matters", "lessons", or the path of a step of the network
    array: "", // path of a tensor
    place: null, // index of a number in it; "max" stands for the place of the largest value
    changes: "", // the interventions, as words
    lesson: "", // name of a lesson
    step: 0,
  };
}

/** Write a state as the part of an address behind "#": only what differs from the first state. */
export function addressOf(state) {
  const first = firstState();
  return Object.keys(first)
    .filter((key) => String(state[key]) !== String(first[key]))
    .map((key) => `${key}=${escaped(WORDS[key]?.write(state[key]) ?? state[key])}`)
    .join("&");
}

/** Read such a part of an address. Returns the state, and a sentence for each part that is no good. */
export function stateOf(address) {
  const state = firstState();
  const problems = [];
  for (const part of address.replace(/^#/, "").split("&").filter(Boolean)) {
    const at = part.indexOf("=");
    const key = at < 0 ? part : part.slice(0, at);
    const value = Object.hasOwn(state, key) ? valueOf(key, part.slice(at + 1)) : undefined;
    if (value === undefined)
      problems.push(
        `The address says “${part.slice(0, 60)}”, which this page does not understand; it was left out.`,
      );
    else state[key] = value;
  }
  return { state, problems };
}

function valueOf(key, text) {
  try {
    const plain = decodeURIComponent(text);
    return WORDS[key] ? WORDS[key].read(plain) : plain;
  } catch {
    return undefined; // a damaged escape
  }
}

const wholeNumber = (text) => (/^\d{1,6}$/.test(text) ? Number(text) : NaN);
const pathWords = { write: (value) => value, read: (text) => (/^[\w.]+$/.test(text) ? text : undefined) };

const WORDS = {
  view: pathWords,
  array: pathWords,
  paint: {
    write: (dabs) => dabs.map((d) => [d.y, d.x, d.radius, d.color].join(",")).join(";"),
    read: (text) => {
      const dabs = text.split(";").map((dab) => dab.split(","));
      const right = (d) =>
        d.length === 4 &&
        d.slice(0, 3).every((v) => wholeNumber(v) >= 0) &&
        /^(gray|[0-9a-f]{6})$/.test(d[3]);
      return dabs.every(right)
        ? dabs.map(([y, x, radius, color]) => ({
            y: wholeNumber(y),
            x: wholeNumber(x),
            radius: wholeNumber(radius),
            color,
          }))
        : undefined;
    },
  },
  place: {
    write: (index) => index.join(","),
    read: (text) => {
      const index = text.split(",").map((word) => (word === "max" ? word : wholeNumber(word)));
      return index.length <= 3 && index.every((v) => v === "max" || v >= 0) ? index : undefined;
    },
  },
  step: {
    write: (step) => step + 1,
    read: (text) => (wholeNumber(text) >= 1 ? wholeNumber(text) - 1 : undefined),
  },
};

function escaped(value) {
  return encodeURIComponent(value).replace(/%(2C|3A|3B|2F|40|5B|5D)/g, decodeURIComponent);
}
