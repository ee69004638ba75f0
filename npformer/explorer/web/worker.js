// The other side of `explorer.js`: answers questions about one network, in a Web Worker.
//
// A question is {id, method, args}; an answer {id, result} or {id, error}, with {id, progress} before it.
import { openSession } from "./session.js";

const METHODS = [
  "network",
  "show",
  "intervene",
  "pixels",
  "tensor",
  "picture",
  "pictures",
  "block",
  "explainNumber",
  "receptiveField",
  "attention",
  "curve",
];

let session = null;
let generation = 0; // of the photograph; what is ranked for an older one is given up
const stopped = new Set();

/** Answer one question; `tell` sends progress. */
async function answer({ id, method, args }, tell) {
  if (method === "open") {
    session = await openSession(JSON.parse(args[0]), args[1]);
    return session.network();
  }
  if (method === "stop") return void stopped.add(args[0]);
  if (session === null) throw new Error("the network was not opened");
  if (method === "rank") return rank(id, args[0], tell);
  if (!METHODS.includes(method)) throw new Error(`the network cannot answer "${method}"`);
  if (method === "show") generation += 1;
  return session[method](...args);
}

/** Switch off one part after another; between two, other questions have their turn. */
async function rank(id, kinds, tell) {
  const begun = generation;
  const switches = session.switches(kinds);
  const ranked = [];
  for (const each of switches) {
    ranked.push(session.effect(each));
    ranked.sort((a, b) => Math.abs(b.change) - Math.abs(a.change));
    tell([ranked.length, switches.length, ranked]);
    await new Promise((resolve) => setTimeout(resolve));
    if (stopped.delete(id) || begun !== generation) return null;
  }
  return ranked;
}

self.onmessage = async ({ data }) => {
  const { id } = data;
  try {
    self.postMessage({ id, result: await answer(data, (progress) => self.postMessage({ id, progress })) });
  } catch (error) {
    self.postMessage({ id, error: error.message });
  }
};
