// Reads the test vectors that `npformer vectors OUT` writes. vectors.md specifies the format.
// For Node 18 and later, without any package.

import { readFileSync } from "node:fs";
import { join } from "node:path";

/** Read a safetensors file: name -> {shape, data}, as Float32Array or Float64Array. */
export function readTensors(path) {
  const bytes = readFileSync(path);
  if (bytes.length < 8) throw new Error(`${path}: is no safetensors file`);
  const length = Number(bytes.readBigUInt64LE(0));
  if (length > bytes.length - 8) throw new Error(`${path}: is truncated`);
  const header = JSON.parse(bytes.toString("utf8", 8, 8 + length));
  const tensors = new Map();
  for (const [name, entry] of Object.entries(header)) {
    if (name === "__metadata__") continue;
    const type = { F32: Float32Array, F64: Float64Array }[entry.dtype];
    if (!type) throw new Error(`${path}: ${name}: expected F32 or F64, found ${entry.dtype}`);
    const [first, last] = entry.data_offsets.map((offset) => 8 + length + offset);
    const count = entry.shape.reduce((product, size) => product * size, 1);
    if (last > bytes.length || last - first !== count * type.BYTES_PER_ELEMENT)
      throw new Error(`${path}: ${name}: its shape and its bytes do not fit together`);
    const view = new DataView(bytes.buffer, bytes.byteOffset + first, last - first);
    const read = type === Float32Array ? "getFloat32" : "getFloat64";
    const data = type.from({ length: count }, (_, i) => view[read](i * type.BYTES_PER_ELEMENT, true));
    tensors.set(name, { shape: entry.shape, data });
  }
  return tensors;
}

/** Read the manifest of a folder. */
export function readManifest(folder) {
  const manifest = JSON.parse(readFileSync(join(folder, "manifest.json"), "utf8"));
  if (manifest.format !== "npformer-vectors" || manifest.version !== 1)
    throw new Error(`${folder}: expected test vectors of npformer, version 1`);
  return manifest;
}

/** The largest error relative to its bound; NaN if a number is none. */
function ratio(found, expected, bound) {
  if (!found || found.length !== expected.length) return NaN;
  return expected.reduce((worst, value, i) => Math.max(worst, Math.abs(found[i] - value) / bound[i]), 0);
}

/**
 * Check implementations of layers.
 *
 * @param {string} folder where `npformer vectors` has written
 * @param {Object<string, function>} layers by name: a function of the inputs of a case, {x, dy,
 *     "p.weight", …}, each {shape, data}, of its options, and of whether batch norm is in training.
 *     It returns outputs, {y, dx, "dp.weight", …}, as arrays of numbers; all or some of them.
 * @returns {number} how many outputs are wrong
 */
export function checkLayers(folder, layers) {
  const manifest = readManifest(folder);
  if (manifest.layout !== "channels_first")
    throw new Error(`${folder}: expected the layout channels_first, in which the layers are written`);
  let all = 0;
  for (const [layer, implementation] of Object.entries(layers)) {
    const entry = manifest.layers[layer];
    if (!entry) throw new Error(`${folder}: holds no layer ${layer}`);
    const tensors = readTensors(join(folder, entry.file));
    let [wrong, worst, outputs] = [0, 0, 0];
    for (const { case: number, comment, options, training, inputs, wrong: mistakes } of entry.cases) {
      const given = Object.fromEntries(inputs.map((name) => [name, tensors.get(`${number}/${name}`)]));
      for (const [name, found] of Object.entries(implementation(given, options, training))) {
        const expected = tensors.get(`${number}/${name}`).data;
        const bound = tensors.get(`${number}/bound/${name}`).data;
        const error = ratio(found, expected, bound);
        worst = Math.max(worst, error);
        outputs += 1;
        if (error <= 1) continue;
        wrong += 1;
        console.log(`${layer}, case ${number} (${comment}): ${name} is wrong: ${error.toPrecision(2)} bounds off`);
        for (const index of Object.keys(mistakes)) {
          const answer = tensors.get(`${number}/wrong/${index}/${name}`)?.data;
          if (answer && ratio(found, answer, bound) <= 1) {
            const { kind, hint } = entry.mistakes[index];
            console.log(`    this is the answer of a mistake, ${kind}: ${hint}`);
          }
        }
      }
    }
    console.log(
      `${layer}: ${entry.cases.length} cases, ${outputs} outputs, ${wrong} wrong, ` +
        `largest error ${worst.toPrecision(2)} of its bound`,
    );
    all += wrong;
  }
  return all;
}
