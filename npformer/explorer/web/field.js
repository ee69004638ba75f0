// The receptive field: which pixels can change a number.
import { offset } from "./layers/tensor.js";

/** {top, left, bottom, right, whole}: pixels of what the network sees; bottom and right do not count any more. */
export function receptiveField(here, path, index) {
  const [H, W] = here.tensor("pixel_values").shape;
  const { top, left, bottom, right } = regionBelow(here, path, placeOf(here, path, index)) ?? {
    top: 0,
    left: 0,
    bottom: H,
    right: W,
  };
  const field = {
    top: Math.max(0, top),
    left: Math.max(0, left),
    bottom: Math.min(H, bottom),
    right: Math.min(W, right),
  };
  return { ...field, whole: field.bottom - field.top === H && field.right - field.left === W };
}

/** The number's own place in its tensor, as a region; null for what has no place, or comes from everywhere. */
function placeOf(here, path, index) {
  const { shape } = here.tensor(path);
  offset(shape, index); // refuses what is outside
  if (here.entry(path).layer === "attend" || shape.length === 1) return null;
  const [row, column] =
    shape.length === 3 ? index : [Math.floor(index[0] / here.grid.columns), index[0] % here.grid.columns];
  return { top: row, left: column, bottom: row + 1, right: column + 1 };
}

/** What of the pixels a region of a tensor depends on; null is everything. */
function regionBelow(here, path, region) {
  const { layer, options, inputs } = here.entry(path);
  if (region === null || ["attend", "weighted_sum", "mean"].includes(layer)) return null;
  if (inputs.length === 0) return region;
  if (layer === "conv2d") return regionBelow(here, inputs[0], windowed(region, options));
  if (layer === "pooling") {
    const reach = (options.size - 1) / 2;
    return regionBelow(
      here,
      inputs[0],
      windowed(region, { kernel: options.size, stride: 1, padding: reach }),
    );
  }
  // A sum depends on what its branch does, which begins with the other number.
  return regionBelow(here, inputs.at(-1), region);
}

/** The pixels below the windows of a region. */
function windowed({ top, left, bottom, right }, { kernel, stride, padding }) {
  const first = (low) => low * stride - padding;
  const end = (high) => (high - 1) * stride - padding + kernel;
  return { top: first(top), left: first(left), bottom: end(bottom), right: end(right) };
}
