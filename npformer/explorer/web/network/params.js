// The parameters: from bytes to the tree that the layers read, with timm's names.
//
// Each tensor lies in the bytes after the one before it, in float16 or float32, all first bytes of its numbers, then
// all second bytes, and so on: bytes of one kind are alike, and deflate makes them smaller.
import { count, tensor } from "../layers/tensor.js";

/** base64 of deflated bytes -> bytes */
export async function inflated(base64) {
  try {
    const packed = bytesOf(base64.trim());
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  } catch {
    throw new Error("the weights in this page are damaged; make the page again");
  }
}

/** The bytes of base64. New browsers have a fast way of their own. */
function bytesOf(base64) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(base64);
  const letters = atob(base64);
  const bytes = new Uint8Array(letters.length);
  for (let i = 0; i < letters.length; i++) bytes[i] = letters.charCodeAt(i);
  return bytes;
}

/** Read all tensors: `manifest` is a list of {path, shape, type}, in their order. */
export function unpack(bytes, manifest, config) {
  const leaves = [];
  let at = 0;
  for (const { path, shape, type } of manifest) {
    const n = count(shape);
    const width = type === "float16" ? 2 : 4;
    if (at + n * width > bytes.length)
      throw new Error("the weights in this page are cut off; make the page again");
    const planes = bytes.subarray(at, at + n * width);
    leaves.push({ path, shape, data: type === "float16" ? halves(planes, n) : singles(planes, n) });
    at += n * width;
  }
  if (at !== bytes.length)
    throw new Error("the weights in this page are of another network; make the page again");
  return completed(treeOf(leaves), config);
}

/** The tree of {path, shape, data}; what has one axis is its numbers alone. */
export function treeOf(leaves) {
  const tree = {};
  for (const { path, shape, data } of leaves)
    put(tree, path.split("."), shape.length === 1 ? data : tensor(shape, data));
  return tree;
}

function put(tree, names, value) {
  const [name, ...rest] = names;
  if (rest.length === 0) tree[name] = value;
  else put((tree[name] ??= /^\d+$/.test(rest[0]) ? [] : {}), rest, value);
}

/** Parts of the tree that have no parameters: flat blocks, and what this network does without. */
export function completed(tree, config) {
  tree.stages ??= [];
  config.depths.forEach((depth, i) => {
    const stage = (tree.stages[i] ??= {});
    const last = i === config.depths.length - 1;
    stage.downsample ??= null;
    stage.blocks ??= [];
    for (let j = 0; j < depth + last; j++) {
      const block = (stage.blocks[j] ??= {});
      block.ls1 ??= null;
      block.ls2 ??= null;
    }
  });
  tree.head_dist ??= null;
  return tree;
}

function singles(planes, n) {
  const bytes = new Uint8Array(4 * n);
  for (let i = 0; i < n; i++) {
    for (let k = 0; k < 4; k++) bytes[4 * i + k] = planes[k * n + i];
  }
  return new Float32Array(bytes.buffer); // every processor that runs a browser has the low byte first
}

/** float16: a sign, 5 bits of exponent, 10 bits of fraction. */
function halves(planes, n) {
  const numbers = new Float32Array(n);
  for (let i = 0; i < n; i++) {
    const bits = planes[i] | (planes[n + i] << 8);
    const exponent = (bits >> 10) & 31;
    const fraction = bits & 1023;
    const size = exponent === 0 ? fraction * 2 ** -24 : (1024 + fraction) * POWERS[exponent];
    numbers[i] = bits & 0x8000 ? -size : size;
  }
  return numbers;
}

const POWERS = Float64Array.from({ length: 32 }, (_, exponent) => 2 ** (exponent - 25));

/** The part of the tree at a path of timm's. */
export function at(tree, path) {
  return path.split(".").reduce((node, name) => node[name], tree);
}
