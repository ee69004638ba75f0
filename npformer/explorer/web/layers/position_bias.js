// Relative position bias: what attention knows about where tokens lie.
//
//     table[h, i, j] = biases[h, |yᵢ − yⱼ|, |xᵢ − xⱼ|]
//
// The tokens are the pixels of a grid; each head has learned a bias for each distance (down, across). A network whose
// biases were resized to another grid may have one for each pair of positions instead.

/** Where the bias of a head for a query and a key lies: [head, down, across], or [head, y, x, y', x']. */
export function biasIndex(biases, head, query, key) {
  const columns = biases.shape[2];
  const [y, x] = [Math.floor(query / columns), query % columns];
  const [v, u] = [Math.floor(key / columns), key % columns];
  return biases.shape.length === 5 ? [head, y, x, v, u] : [head, Math.abs(y - v), Math.abs(x - u)];
}

/** The bias of a head for a query and a key. */
export function bias(biases, head, query, key) {
  return biases.data[biasIndex(biases, head, query, key).reduce((at, i, axis) => at * biases.shape[axis] + i, 0)];
}
