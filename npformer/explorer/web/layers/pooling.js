// Pooling as a token mixer.
//
//     mix(x) = average of the k×k window around each pixel − x
//
// Nothing is learned. x is subtracted because the block's residual connection adds it back. Pixels outside do not
// count: a corner averages 4 values, an edge 6.
import { tensor } from "./tensor.js";

/** (H, W, C) -> (H, W, C) */
export function pooling(x, size = 3) {
  const [H, W, C] = x.shape;
  const y = tensor(x.shape);
  const sums = new Float64Array(C);
  for (let i = 0; i < H; i++) {
    for (let j = 0; j < W; j++) {
      const neighbors = windowOf(i, j, H, W, size);
      sums.fill(0);
      for (const [row, column] of neighbors) {
        const from = (row * W + column) * C;
        for (let c = 0; c < C; c++) sums[c] += x.data[from + c];
      }
      const at = (i * W + j) * C;
      for (let c = 0; c < C; c++) y.data[at + c] = sums[c] / neighbors.length - x.data[at + c];
    }
  }
  return y;
}

/** [row, column] of each pixel of the window around (i, j) that lies in the image. */
export function windowOf(i, j, H, W, size) {
  const reach = (size - 1) / 2;
  const pixels = [];
  for (let row = Math.max(0, i - reach); row <= Math.min(H - 1, i + reach); row++) {
    for (let column = Math.max(0, j - reach); column <= Math.min(W - 1, j + reach); column++) {
      pixels.push([row, column]);
    }
  }
  return pixels;
}
