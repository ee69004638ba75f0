// Two-dimensional convolution, channels last.
//
//     y[i, j, o] = bias[o] + Σ_{u,v,c} x̂[s i + u, s j + v, c] · weight[o, u, v, c]
//
// x̂ is x surrounded by `padding` zeros, s the stride. Laid out as rows, all windows meet the kernel in one
// product, and a 1×1 convolution is a `linear` layer.
import { linear } from "./linear.js";
import { tensor } from "./tensor.js";

/** (H, W, C_in) -> (H', W', C_out) */
export function conv2d(x, p, stride = 1, padding = 0) {
  const [, kh, kw] = p.weight.shape;
  const pointwise = kh === 1 && kw === 1 && stride === 1 && padding === 0;
  return linear(pointwise ? x : im2col(x, kh, kw, stride, padding), p);
}

/** The window of every output pixel as a row: (H, W, C) -> (H', W', kh·kw·C) */
export function im2col(x, kh, kw, stride, padding) {
  const [H, W, C] = x.shape;
  const rows = Math.floor((H + 2 * padding - kh) / stride) + 1;
  const columns = Math.floor((W + 2 * padding - kw) / stride) + 1;
  const y = tensor([rows, columns, kh * kw * C]);
  let at = 0;
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) {
      for (let u = 0; u < kh; u++) {
        for (let v = 0; v < kw; v++, at += C) {
          const row = i * stride + u - padding;
          const column = j * stride + v - padding;
          if (row < 0 || row >= H || column < 0 || column >= W) continue; // a zero of the padding
          const from = (row * W + column) * C;
          for (let c = 0; c < C; c++) y.data[at + c] = x.data[from + c];
        }
      }
    }
  }
  return y;
}
