// Linear layer.
//
//     y = x W + b
//
// The matrix lies in memory column by column, (out, in), as PyTorch stores it: each number of y is then the product
// of two rows that are read from beginning to end. Four rows of x meet four columns of W at a time, so that each
// number that was read is used four times: this loop takes most of the time of the network.
import { tensor } from "./tensor.js";

/** (…, C_in) -> (…, C_out) */
export function linear(x, p) {
  const C_in = x.shape.at(-1);
  const C_out = p.bias.length;
  const rows = x.data.length / C_in;
  const y = tensor([...x.shape.slice(0, -1), C_out]);
  product(x.data, p.weight.data, p.bias, y.data, rows, C_in, C_out);
  return y;
}

/** y[m, n] = bias[n] + Σ_k x[m, k] · w[n, k] */
function product(x, w, bias, y, M, K, N) {
  const rows = M - (M % 4);
  const columns = N - (N % 4);
  for (let m = 0; m < rows; m += 4) {
    for (let n = 0; n < columns; n += 4) fourByFour(x, w, bias, y, m, n, K, N);
  }
  for (let m = 0; m < M; m++) {
    for (let n = m < rows ? columns : 0; n < N; n++) {
      y[m * N + n] = dot(x, m * K, w, n * K, K) + bias[n]; // what is left at the edges
    }
  }
}

/** Sum of products of K numbers of two arrays. */
export function dot(x, i, w, j, K) {
  let sum = 0;
  for (let k = 0; k < K; k++) sum += x[i + k] * w[j + k];
  return sum;
}

/** Sixteen sums of products at once: rows m … m + 3 of x, and n … n + 3 of w. */
function fourByFour(x, w, bias, y, m, n, K, N) {
  const [a, b, c, d] = [m * K, (m + 1) * K, (m + 2) * K, (m + 3) * K];
  const [e, f, g, h] = [n * K, (n + 1) * K, (n + 2) * K, (n + 3) * K];
  let ae = bias[n], af = bias[n + 1], ag = bias[n + 2], ah = bias[n + 3];
  let be = ae, bf = af, bg = ag, bh = ah;
  let ce = ae, cf = af, cg = ag, ch = ah;
  let de = ae, df = af, dg = ag, dh = ah;
  for (let k = 0; k < K; k++) {
    const we = w[e + k], wf = w[f + k], wg = w[g + k], wh = w[h + k];
    const xa = x[a + k], xb = x[b + k], xc = x[c + k], xd = x[d + k];
    ae += xa * we; af += xa * wf; ag += xa * wg; ah += xa * wh;
    be += xb * we; bf += xb * wf; bg += xb * wg; bh += xb * wh;
    ce += xc * we; cf += xc * wf; cg += xc * wg; ch += xc * wh;
    de += xd * we; df += xd * wf; dg += xd * wg; dh += xd * wh;
  }
  const at = m * N + n;
  y[at] = ae; y[at + 1] = af; y[at + 2] = ag; y[at + 3] = ah;
  y[at + N] = be; y[at + N + 1] = bf; y[at + N + 2] = bg; y[at + N + 3] = bh;
  y[at + 2 * N] = ce; y[at + 2 * N + 1] = cf; y[at + 2 * N + 2] = cg; y[at + 2 * N + 3] = ch;
  y[at + 3 * N] = de; y[at + 3 * N + 1] = df; y[at + 3 * N + 2] = dg; y[at + 3 * N + 3] = dh;
}
