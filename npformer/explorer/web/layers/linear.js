// Linear layer.
//
//     y = x W + b
//
// The matrix lies in memory column by column, (out, in), as PyTorch stores it: each number of y is then the product
// of two rows that are read from beginning to end. Two rows of x meet four columns of W at a time, so that each
// number that was read is used more than once: this loop takes nearly all the time of the network.
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
export function product(x, w, bias, y, M, K, N) {
  const pairs = M - (M % 2);
  const fours = N - (N % 4);
  for (let m = 0; m < pairs; m += 2) {
    for (let n = 0; n < fours; n += 4) {
      twoByFour(x, w, bias, y, m, n, K, N);
    }
  }
  for (let m = 0; m < M; m++) {
    for (let n = m < pairs ? fours : 0; n < N; n++) {
      y[m * N + n] = dot(x, m * K, w, n * K, K) + bias[n];
    }
  }
}

/** Sum of products of K numbers of two arrays. */
export function dot(x, i, w, j, K) {
  let sum = 0;
  for (let k = 0; k < K; k++) sum += x[i + k] * w[j + k];
  return sum;
}

function twoByFour(x, w, bias, y, m, n, K, N) {
  let a = m * K, b = a + K;
  let i = n * K, j = i + K, k = j + K, l = k + K;
  let ai = 0, aj = 0, ak = 0, al = 0, bi = 0, bj = 0, bk = 0, bl = 0;
  for (const end = a + K; a < end; a++, b++, i++, j++, k++, l++) {
    const xa = x[a], xb = x[b];
    const wi = w[i], wj = w[j], wk = w[k], wl = w[l];
    ai += xa * wi; aj += xa * wj; ak += xa * wk; al += xa * wl;
    bi += xb * wi; bj += xb * wj; bk += xb * wk; bl += xb * wl;
  }
  const first = m * N + n, second = first + N;
  y[first] = ai + bias[n]; y[first + 1] = aj + bias[n + 1]; y[first + 2] = ak + bias[n + 2]; y[first + 3] = al + bias[n + 3];
  y[second] = bi + bias[n]; y[second + 1] = bj + bias[n + 1]; y[second + 2] = bk + bias[n + 2]; y[second + 3] = bl + bias[n + 3];
}
