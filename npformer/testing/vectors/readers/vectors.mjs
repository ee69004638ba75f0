// Reads the test vectors that `npformer vectors OUT` writes. vectors.md specifies the format.
// For Node 18 and later, without any package.

import { readFileSync } from "node:fs";
import { join } from "node:path";

/** What a dtype of safetensors is called here: bytes of a number, how one is read, what holds it. */
const TYPES = {
  F64: [8, (view, at) => view.getFloat64(at, true), Float64Array],
  F32: [4, (view, at) => view.getFloat32(at, true), Float32Array],
  F16: [2, (view, at) => fromHalf(view.getUint16(at, true)), Float32Array],
  BF16: [2, (view, at) => fromUpperHalf(view.getUint16(at, true)), Float32Array],
  I32: [4, (view, at) => view.getInt32(at, true), Int32Array],
  I8: [1, (view, at) => view.getInt8(at), Int8Array],
  U8: [1, (view, at) => view.getUint8(at), Uint8Array],
};

/** The number that 16 bits are: a sign, 5 digits of the exponent, 10 of the fraction. */
function fromHalf(bits) {
  const [sign, exponent, fraction] = [bits >> 15 ? -1 : 1, (bits >> 10) & 31, bits & 1023];
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (exponent ? (1024 + fraction) * 2 ** (exponent - 25) : fraction * 2 ** -24);
}

/** The number whose float32 begins with 16 bits and goes on with zeros. */
function fromUpperHalf(bits) {
  return new Float32Array(new Uint32Array([bits << 16]).buffer)[0];
}

/** Round to float16 and to bfloat16, from the middle to the even one. */
export const round = {
  float16(x) {
    if (!Number.isFinite(x) || x === 0) return x;
    const unit = 2 ** (Math.max(Math.floor(Math.log2(Math.abs(x))), -14) - 10);
    const rounded = toEven(x / unit) * unit;
    return Math.abs(rounded) < 65520 ? rounded : rounded * Infinity;
  },
  bfloat16(x) {
    const [bits] = new Uint32Array(new Float32Array([x]).buffer);
    return Number.isNaN(x) ? x : fromUpperHalf((bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16);
  },
};

function toEven(x) {
  const below = Math.floor(x);
  if (x - below !== 0.5) return Math.round(x);
  return below % 2 === 0 ? below : below + 1;
}

/** Read a safetensors file: name -> {shape, data}, as a typed array. */
export function readTensors(path) {
  const bytes = readFileSync(path);
  if (bytes.length < 8) throw new Error(`${path}: is no safetensors file`);
  const length = Number(bytes.readBigUInt64LE(0));
  if (length > bytes.length - 8) throw new Error(`${path}: is truncated`);
  const header = JSON.parse(bytes.toString("utf8", 8, 8 + length));
  const tensors = new Map();
  for (const [name, entry] of Object.entries(header)) {
    if (name === "__metadata__") continue;
    if (!TYPES[entry.dtype]) throw new Error(`${path}: ${name}: is of an unknown type, ${entry.dtype}`);
    const [size, read, type] = TYPES[entry.dtype];
    const [first, last] = entry.data_offsets.map((offset) => 8 + length + offset);
    const count = entry.shape.reduce((product, size) => product * size, 1);
    if (last > bytes.length || last - first !== count * size)
      throw new Error(`${path}: ${name}: its shape and its bytes do not fit together`);
    const view = new DataView(bytes.buffer, bytes.byteOffset + first, last - first);
    const data = type.from({ length: count }, (_, i) => read(view, i * size));
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

/** The largest error relative to its bound; NaN if a number is none. Whole numbers have no bound. */
function ratio(found, expected, bound) {
  if (!found || found.length !== expected.length) return NaN;
  if (!bound) return expected.every((value, i) => found[i] === value) ? 0 : Infinity;
  return expected.reduce((worst, value, i) => Math.max(worst, Math.abs(found[i] - value) / bound[i]), 0);
}

/**
 * Check implementations of layers.
 *
 * @param {string} folder where `npformer vectors` has written
 * @param {Object<string, function>} layers by name: a function of the inputs of a case, {x, dy,
 *     "p.weight", …}, each {shape, data}, of its options, and of whether batch norm is in training.
 *     It returns outputs, {y, dx, "dp.weight", …}, as arrays of numbers; all or some of them.
 * @param {string} [type] float16, bfloat16 or int8; float32 if there is none
 * @returns {number} how many outputs are wrong
 */
export function checkLayers(folder, layers, type) {
  const manifest = readManifest(folder);
  if (manifest.layout !== "channels_first")
    throw new Error(`${folder}: expected the layout channels_first, in which the layers are written`);
  let all = 0;
  for (const [layer, implementation] of Object.entries(layers)) {
    const entry = (type ? manifest.types?.[type] : manifest)?.layers[layer];
    const label = type ? `${layer} in ${type}` : layer;
    if (!entry) throw new Error(`${folder}: holds no ${label}`);
    const tensors = readTensors(join(folder, entry.file));
    let [wrong, worst, outputs] = [0, 0, 0];
    for (const { case: number, comment, options, training, inputs, wrong: mistakes } of entry.cases) {
      const given = Object.fromEntries(inputs.map((name) => [name, tensors.get(`${number}/${name}`)]));
      for (const [name, found] of Object.entries(implementation(given, options, training))) {
        const expected = tensors.get(`${number}/${name}`).data;
        const bound = tensors.get(`${number}/bound/${name}`)?.data;
        const error = ratio(found, expected, bound);
        worst = Math.max(worst, error);
        outputs += 1;
        if (error <= 1) continue;
        wrong += 1;
        console.log(`${label}, case ${number} (${comment}): ${name} is wrong: ${error.toPrecision(2)} bounds off`);
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
      `${label}: ${entry.cases.length} cases, ${outputs} outputs, ${wrong} wrong, ` +
        `largest error ${worst.toPrecision(2)} of its bound`,
    );
    all += wrong;
  }
  return all;
}
