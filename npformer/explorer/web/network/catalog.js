// What made each tensor: its layer, the tensors that the layer read, and its parameters.
//
// The layers compute; this list says the same once more as data, for explanations. A test recomputes every kind of
// tensor from it.

/** The network's tensors in order: {path, layer, inputs: [path, …], params: path | undefined, options}. */
export function catalog(p, config) {
  const list = [];
  const add = (path, layer, inputs, params, options = {}) =>
    list.push({ path, layer, inputs: [inputs].flat(), params, options });
  add("pixel_values", "normalize", []);
  let x = stemOf(add, config);
  p.stages.forEach((stage, i) => {
    const inside = `stages.${i}`;
    if (stage.downsample !== null) x = downsampleOf(add, `${inside}.downsample`, x, config);
    stage.blocks.forEach((block, j) => {
      const path = `${inside}.blocks.${j}`;
      if (block.token_mixer) attentionBlockOf(add, path, x, block, config);
      else if (block.mlp) poolingBlockOf(add, path, x, block, config);
      else add(path, "flat", x);
      x = path;
    });
    add(inside, "same", x);
    x = inside;
  });
  add("norm", "layer_norm", x, "norm", { eps: config.layer_norm_eps });
  add("pooled", "mean", "norm");
  add("head", "linear", "pooled", "head");
  if (p.head_dist !== null) add("head_dist", "linear", "pooled", "head_dist");
  add(
    "logits",
    p.head_dist === null ? "same" : "average",
    p.head_dist === null ? "head" : ["head", "head_dist"],
  );
  add("scores", "softmax", "logits");
  return list;
}

function stemOf(add, { batch_norm_eps: eps }) {
  let x = "pixel_values";
  for (const i of [1, 2]) {
    add(`stem.conv${i}`, "conv2d", x, `stem.conv${i}`, { kernel: 3, stride: 2, padding: 1 });
    add(`stem.norm${i}`, "batch_norm", `stem.conv${i}`, `stem.norm${i}`, { eps });
    add((x = `stem.act${i}`), "relu", `stem.norm${i}`);
  }
  add("stem", "same", x);
  return "stem";
}

function downsampleOf(add, path, x, config) {
  add(`${path}.conv`, "conv2d", x, `${path}.conv`, {
    kernel: config.downsample_patch_size,
    stride: config.downsample_stride,
    padding: config.downsample_pad,
  });
  add(`${path}.norm`, "batch_norm", `${path}.conv`, `${path}.norm`, { eps: config.batch_norm_eps });
  add(path, "same", `${path}.norm`);
  return path;
}

function poolingBlockOf(add, path, x, block, { pool_size: size, batch_norm_eps: eps, hidden_act }) {
  const mlp = `${path}.mlp`;
  add(`${path}.token_mixer`, "pooling", x, undefined, { size });
  add(`${path}.ls1`, ...scaled(block.ls1, `${path}.token_mixer`, `${path}.ls1`));
  add(`${path}.residual1`, "residual", [x, `${path}.ls1`]);
  add(`${mlp}.fc1`, "conv2d", `${path}.residual1`, `${mlp}.fc1`, { kernel: 1, stride: 1, padding: 0 });
  add(`${mlp}.norm1`, "batch_norm", `${mlp}.fc1`, `${mlp}.norm1`, { eps });
  add(`${mlp}.act`, hidden_act, `${mlp}.norm1`);
  add(`${mlp}.fc2`, "conv2d", `${mlp}.act`, `${mlp}.fc2`, { kernel: 1, stride: 1, padding: 0 });
  add(`${mlp}.norm2`, "batch_norm", `${mlp}.fc2`, `${mlp}.norm2`, { eps });
  add(mlp, "same", `${mlp}.norm2`);
  add(`${path}.ls2`, ...scaled(block.ls2, mlp, `${path}.ls2`));
  add(path, "residual", [`${path}.residual1`, `${path}.ls2`]);
}

function attentionBlockOf(add, path, x, block, { layer_norm_eps: eps, hidden_act, key_dim: K }) {
  const mlp = `${path}.mlp`;
  const mixer = `${path}.token_mixer`;
  add(`${path}.norm1`, "layer_norm", x, `${path}.norm1`, { eps });
  add(`${mixer}.qkv`, "linear", `${path}.norm1`, `${mixer}.qkv`);
  add(`${mixer}.attn`, "attend", `${mixer}.qkv`, mixer, { K });
  add(`${mixer}.context`, "weighted_sum", [`${mixer}.attn`, `${mixer}.qkv`], mixer, { K });
  add(`${mixer}.proj`, "linear", `${mixer}.context`, `${mixer}.proj`);
  add(mixer, "same", `${mixer}.proj`);
  add(`${path}.ls1`, ...scaled(block.ls1, mixer, `${path}.ls1`));
  add(`${path}.residual1`, "residual", [x, `${path}.ls1`]);
  add(`${path}.norm2`, "layer_norm", `${path}.residual1`, `${path}.norm2`, { eps });
  add(`${mlp}.fc1`, "linear", `${path}.norm2`, `${mlp}.fc1`);
  add(`${mlp}.act`, hidden_act, `${mlp}.fc1`);
  add(`${mlp}.fc2`, "linear", `${mlp}.act`, `${mlp}.fc2`);
  add(mlp, "same", `${mlp}.fc2`);
  add(`${path}.ls2`, ...scaled(block.ls2, mlp, `${path}.ls2`));
  add(path, "residual", [`${path}.residual1`, `${path}.ls2`]);
}

/** Layer, input and parameters of a layer scale; a network may do without. */
function scaled(params, input, path) {
  return params === null ? ["same", input] : ["layer_scale", input, path];
}
