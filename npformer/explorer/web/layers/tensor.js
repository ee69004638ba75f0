// A tensor: its sizes, and its numbers in one array, row by row, the last axis together.
//
// One photograph at a time: there is no batch axis. Images are (H, W, C) and tokens (N, C), channels last.
// Numbers are kept in float32 and added up in float64, JavaScript's own.

/** Make a tensor of these sizes, of zeros or of these numbers. */
export function tensor(shape, data = new Float32Array(count(shape))) {
  return { shape, data };
}

/** How many numbers a tensor of these sizes has. */
export function count(shape) {
  return shape.reduce((product, size) => product * size, 1);
}

/** Where the number at an index lies in the array: [y, x, c] -> (y · W + x) · C + c. */
export function offset(shape, index) {
  const inside =
    index.length === shape.length &&
    index.every((i, axis) => Number.isInteger(i) && i >= 0 && i < shape[axis]);
  if (!inside) throw new Error(`there is no number [${index}] in a tensor of ${shape.join("×")}`);
  return index.reduce((at, i, axis) => at * shape[axis] + i, 0);
}

/** A new tensor of f(number, place) for each number. */
export function mapped(x, f) {
  const y = tensor(x.shape);
  for (let i = 0; i < y.data.length; i++) y.data[i] = f(x.data[i], i);
  return y;
}

/** Sum of two tensors of one shape. */
export function add(x, other) {
  const y = tensor(x.shape);
  for (let i = 0; i < y.data.length; i++) y.data[i] = x.data[i] + other.data[i];
  return y;
}

/** The same numbers with other sizes. */
export function reshape(x, shape) {
  return tensor(shape, x.data);
}
