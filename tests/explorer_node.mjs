// Ask the explorer's network under Node: `node explorer_node.mjs FOLDER` answers FOLDER/jobs.json.
//
// The folder holds data.json and weights.txt, as a page does, and photographs as RGBA bytes. A job is [method, …args];
// the answers, printed as JSON, have {"f32": base64} in place of arrays of numbers and {"u8": base64} of bytes.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { resizedAndCropped, normalized } from "../npformer/explorer/web/images.js";
import { formatInterventions, parseInterventions } from "../npformer/explorer/web/interventions.js";
import { openSession } from "../npformer/explorer/web/session.js";

const folder = process.argv[2];
const text = (name) => readFileSync(join(folder, name), "utf8");
const jobs = JSON.parse(text("jobs.json"));

/** {"rgba": file, width, height} as a photograph. */
function photograph(value) {
  if (value?.rgba === undefined) return value;
  return { width: value.width, height: value.height, data: new Uint8ClampedArray(readFileSync(join(folder, value.rgba))) };
}

const OTHERS = {
  preprocess(image, processor) {
    const seen = resizedAndCropped(image, processor);
    return { bytes: seen.data, pixel_values: normalized(seen, processor), shape: [seen.height, seen.width] };
  },
  words: (interventions) => [formatInterventions(interventions), parseInterventions(formatInterventions(interventions))],
  parse: (words) => parseInterventions(words),
  rank: (kinds) => session.switches(kinds).map((each) => session.effect(each)),
  all: (clean) => [...session.tape.keys()].map((path) => session.tensor(path, clean)),
  time(image, times, list) {
    const taken = [];
    for (let i = 0; i < times; i++) taken.push(session.show(image).milliseconds);
    return { show: taken, interventions: list.map((each) => [each, session.intervene([each]).milliseconds]), memory: process.memoryUsage() };
  },
};

let session = null;
const results = [];
for (const [method, ...args] of jobs) {
  try {
    if (method === "open") {
      session = await openSession(JSON.parse(text("data.json")), text("weights.txt"));
      results.push(session.network());
    } else {
      const values = args.map(photograph);
      results.push((OTHERS[method] ? OTHERS[method](...values) : session[method](...values)) ?? null);
    }
  } catch (error) {
    results.push({ error: error.message });
  }
}

const plain = (_, value) => {
  if (value instanceof Float32Array) return { f32: Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString("base64") };
  if (value instanceof Uint8Array || value instanceof Uint8ClampedArray) return { u8: Buffer.from(value).toString("base64") };
  return value;
};
process.stdout.write(JSON.stringify(results, plain));
