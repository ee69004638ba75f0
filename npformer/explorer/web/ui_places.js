// Where a number stands: the index of a tensor, as a row, a column and a channel that can be drawn.
//
//   images (H, W, C)           [row, column, channel]
//   tokens (N, C)              [token, channel]; tokens lie row by row in their grid
//   attention (heads, N, N)    [head, query, key]: a channel for each head
//   lists (C)                  [channel]

/** See a tensor as a grid with channels: { rows, columns, channels, at(row, column, channel), … }. */
export function gridOf({ path, shape, data }, network) {
  if (isAttention(path)) {
    const [channels, rows, columns] = shape;
    const at = (row, column, head) => data[(head * rows + row) * columns + column];
    const index = (row, column, head) => [head, row, column];
    const place = ([head, row, column]) => [row, column, head];
    return { rows, columns, channels, at, index, place, words: ["query", "key", "head"] };
  }
  const channels = shape.at(-1);
  let [rows, columns] = [1, 1];
  if (shape.length === 3) [rows, columns] = shape;
  else if (shape.length === 2) [rows, columns] = gridOfTokens(shape[0], network);
  const at = (row, column, channel) => data[(row * columns + column) * channels + channel];
  const index = (row, column, channel) =>
    ({ 3: [row, column, channel], 2: [row * columns + column, channel], 1: [channel] })[shape.length];
  const place = (of) => {
    if (shape.length === 3) return of;
    if (shape.length === 2) return [Math.floor(of[0] / columns), of[0] % columns, of[1]];
    return [0, 0, of[0]];
  };
  return { rows, columns, channels, at, index, place, words: ["row", "column", "channel"] };
}

function gridOfTokens(count, { grid }) {
  return grid && grid.rows * grid.columns === count ? [grid.rows, grid.columns] : [count, 1];
}

/** Whether a path is that of the attention of all heads. */
export function isAttention(path) {
  return path.endsWith(".attn");
}

/** Whether an index, in which "max" stands for any number, can be one of a tensor of this shape. */
export function indexFits(index, shape) {
  return index.length === shape.length && index.every((v, i) => v === "max" || v < shape[i]);
}

/** Put numbers in the place of "max": those of the largest value. */
export function resolved(index, { shape, data }) {
  if (!index.includes("max")) return index;
  const ranges = index.map((v, i) => (v === "max" ? Array.from({ length: shape[i] }, (_, k) => k) : [v]));
  let best = null;
  let most = -Infinity;
  for (const first of ranges[0])
    for (const second of ranges[1] ?? [null])
      for (const third of ranges[2] ?? [null]) {
        const candidate = [first, second, third].slice(0, shape.length);
        const value = data[candidate.reduce((sum, v, i) => sum * shape[i] + v, 0)];
        if (best === null || value > most) [best, most] = [candidate, value];
      }
  return best;
}

/** Where one looks first: the middle of the array, where its value is largest. */
export function firstPlace({ path, shape }) {
  const middle = shape.map((length) => Math.floor(length / 2));
  if (isAttention(path)) return [0, middle[1], middle[2]];
  return [...middle.slice(0, -1), "max"];
}

/** "row 3, column 4, channel 7", in the words of the tensor. */
export function placeWords(index, path, labels) {
  if (isAttention(path)) return `head ${index[0]}, query ${index[1]}, key ${index[2]}`;
  if (index.length === 3) return `row ${index[0]}, column ${index[1]}, channel ${index[2]}`;
  if (index.length === 2) return `token ${index[0]}, channel ${index[1]}`;
  return labels && ofClasses(path) ? `“${labels[index[0]]}”` : `channel ${index[0]}`;
}

/** Whether an array has a number for each class. */
export function ofClasses(path) {
  return ["head", "head_dist", "logits", "scores"].includes(path);
}
