// From a photograph to what enters the network: resize, crop, rescale, normalize.
//
// The resize is Pillow's, to the last bit: in 8 bits, along rows and along columns, one after the other. Each new
// pixel is a weighted sum of old ones. The filter is widened by the factor by which the image shrinks, so that every
// old pixel counts (antialiasing); weights are whole numbers, 2²² being one. Source: `Resample.c` of Pillow.
import { tensor } from "./layers/tensor.js";

const ONE = 2 ** 22;

/** [how far the filter reaches, filter], by Pillow's number. */
const FILTERS = {
  1: [3, (x) => (Math.abs(x) < 3 ? sinc(x) * sinc(x / 3) : 0)], // Lanczos
  2: [1, (x) => Math.max(0, 1 - Math.abs(x))], // bilinear
  3: [2, bicubic],
  4: [0.5, (x) => (x > -0.5 && x <= 0.5 ? 1 : 0)], // box
  5: [1, hamming],
};

function bicubic(x) {
  x = Math.abs(x);
  const a = -0.5;
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  if (x < 2) return (((x - 5) * x + 8) * x - 4) * a;
  return 0;
}

function hamming(x) {
  x = Math.abs(x);
  if (x === 0) return 1;
  return x < 1 ? (Math.sin(x * Math.PI) / (x * Math.PI)) * (0.54 + 0.46 * Math.cos(x * Math.PI)) : 0;
}

function sinc(x) {
  return x === 0 ? 1 : Math.sin(x * Math.PI) / (x * Math.PI);
}

/**
 * A photograph {width, height, data: RGBA bytes} as the network sees it.
 *
 * The result has the bytes of what is left after resize and crop, {height, width, data: RGB}, and where they come from:
 * pixel (x, y) of the photograph lies at (x · scaleX − left, y · scaleY − top).
 */
export function resizedAndCropped(photograph, processor) {
  const { width, height } = photograph;
  if (!(width > 0 && height > 0) || photograph.data.length !== 4 * width * height) {
    throw new Error(
      `a photograph of ${width}×${height} pixels has ${4 * width * height} bytes; found ${photograph.data.length}`,
    );
  }
  const [newHeight, newWidth] = processor.do_resize
    ? resizedSize(height, width, processor.size)
    : [height, width];
  const crop = processor.do_center_crop ? processor.crop_size : { height: newHeight, width: newWidth };
  const top = cropStart(newHeight, crop.height, processor.crop_rounding);
  const left = cropStart(newWidth, crop.width, processor.crop_rounding);
  const rows = span(top, crop.height, newHeight);
  const columns = span(left, crop.width, newWidth);
  const part = resample(onWhite(photograph), height, width, newHeight, newWidth, rows, columns, processor);
  const data = new Uint8Array(crop.height * crop.width * 3); // zeros around an image that is smaller
  const across = columns.stop - columns.start;
  for (let y = rows.start; y < rows.stop; y++) {
    const line = part.subarray((y - rows.start) * across * 3, (y - rows.start + 1) * across * 3);
    data.set(line, ((y - top) * crop.width + columns.start - left) * 3);
  }
  return {
    height: crop.height,
    width: crop.width,
    data,
    scaleX: newWidth / width,
    scaleY: newHeight / height,
    left,
    top,
  };
}

/** Bytes, RGB, as `pixel_values`: (x · factor − mean) / std in float32, (H, W, 3) */
export function normalized({ height, width, data }, processor) {
  const x = tensor([height, width, 3]);
  for (let i = 0; i < data.length; i++) {
    const value = processor.do_rescale ? Math.fround(data[i] * processor.rescale_factor) : data[i];
    if (!processor.do_normalize) x.data[i] = value;
    else
      x.data[i] =
        Math.fround(value - Math.fround(perColor(processor.image_mean, i % 3))) /
        Math.fround(perColor(processor.image_std, i % 3));
  }
  return x;
}

/** Mean or deviation of a color: there is one number for all, or one for each. */
export function perColor(value, color) {
  return Array.isArray(value) ? value[value.length === 1 ? 0 : color] : value;
}

/** Height and width after the resize: two sides, or the shorter one, which keeps the proportions. */
function resizedSize(height, width, size) {
  if (!("shortest_edge" in size)) return [size.height, size.width];
  const short = size.shortest_edge;
  const long = Math.trunc((short * Math.max(height, width)) / Math.min(height, width));
  return width <= height ? [long, short] : [short, long];
}

/** Where the middle `size` of `old` pixels begin; negative if there are fewer. */
function cropStart(old, size, rounding) {
  if (rounding !== "torchvision") return Math.floor((old - size) / 2);
  return old >= size ? halfToEven((old - size) / 2) : -Math.floor((size - old) / 2);
}

function halfToEven(x) {
  const low = Math.floor(x);
  return x - low === 0.5 ? low + (low % 2) : Math.round(x);
}

/** The pixels of a side of length `size` that a crop keeps. */
function span(start, length, size) {
  return { start: Math.max(0, start), stop: Math.min(size, start + length) };
}

/** RGBA over white, as RGB, with Pillow's rounding. */
function onWhite({ data }) {
  const rgb = new Uint8Array((data.length / 4) * 3);
  for (let i = 0, j = 0; i < data.length; i += 4, j += 3) {
    const alpha = data[i + 3];
    for (let c = 0; c < 3; c++) {
      const sum = (data[i + c] * alpha + 255 * (255 - alpha)) * 128 + 0x4000;
      rgb[j + c] = (((sum >> 8) + sum) >> 8) >> 7; // divided by 255 · 128
    }
  }
  return rgb;
}

/**
 * The rows and columns wanted of an RGB image that is resized to newHeight × newWidth.
 *
 * Pillow 13 and later begin with the columns if these lose more than twice as many pixels as the rows (its pull
 * request 9549). Each pass rounds, so the order matters.
 */
function resample(
  rgb,
  height,
  width,
  newHeight,
  newWidth,
  rows,
  columns,
  { resample: filter, columns_first },
) {
  const down = coefficients(height, newHeight, rows, filter);
  const across = coefficients(width, newWidth, columns, filter);
  if (columns_first && newHeight < height && height - newHeight > 2 * (width - newWidth)) {
    return alongRows(alongColumns(rgb, width, down, 0), width, 0, down.length, across);
  }
  const first = Math.min(...down.map(({ start }) => start));
  const last = Math.max(...down.map(({ start, weights }) => start + weights.length));
  return alongColumns(alongRows(rgb, width, first, last, across), across.length, down, first);
}

/** New columns for the rows from `first` to `last`. */
function alongRows(rgb, width, first, last, across) {
  const result = new Uint8Array((last - first) * across.length * 3);
  for (let y = first, place = 0; y < last; y++) {
    for (const { start, weights } of across) {
      weightedSum(rgb, (y * width + start) * 3, 3, weights, result, place);
      place += 3;
    }
  }
  return result;
}

/** New rows; the first row that is there is number `first` of the image. */
function alongColumns(rgb, width, down, first) {
  const result = new Uint8Array(down.length * width * 3);
  let place = 0;
  for (const { start, weights } of down) {
    for (let x = 0; x < width; x++) {
      weightedSum(rgb, ((start - first) * width + x) * 3, width * 3, weights, result, place);
      place += 3;
    }
  }
  return result;
}

/** One new pixel: three sums of old bytes times weights, rounded and clipped to a byte. */
function weightedSum(from, at, step, weights, to, place) {
  let r = ONE / 2,
    g = ONE / 2,
    b = ONE / 2;
  for (let k = 0; k < weights.length; k++, at += step) {
    const weight = weights[k];
    r += from[at] * weight;
    g += from[at + 1] * weight;
    b += from[at + 2] * weight;
  }
  to[place] = clipped(r >> 22);
  to[place + 1] = clipped(g >> 22);
  to[place + 2] = clipped(b >> 22);
}

function clipped(value) {
  return value < 0 ? 0 : value > 255 ? 255 : value;
}

/** For each new pixel of a span: the first old pixel that counts, and the weights, 2²² being one. */
function coefficients(old, size, { start, stop }, filter) {
  if (old === size)
    return Array.from({ length: stop - start }, (_, i) => ({
      start: start + i,
      weights: Int32Array.of(ONE),
    }));
  const [reach, curve] = FILTERS[filter];
  const scale = old / size;
  const widening = Math.max(1, scale);
  const support = reach * widening;
  return Array.from({ length: stop - start }, (_, i) => {
    const center = (start + i + 0.5) * scale;
    const first = Math.max(0, Math.trunc(center - support + 0.5));
    const last = Math.min(old, Math.trunc(center + support + 0.5));
    const inverse = 1 / widening;
    const weights = Float64Array.from({ length: last - first }, (_, k) =>
      curve((k + first - center + 0.5) * inverse),
    );
    const sum = weights.reduce((a, b) => a + b, 0);
    const whole = Int32Array.from(weights, (weight) => {
      const share = sum === 0 ? weight : weight / sum;
      return Math.trunc(share * ONE + (share < 0 ? -0.5 : 0.5));
    });
    return { start: first, weights: whole };
  });
}
