// The network, from pixels to scores, as one short list of steps.
//
//     stem                     two 3×3 convolutions of stride 2      (H, W, 3) -> (H/4, W/4, C₁)
//     stages 0 … n−1           a downsampling, then a chain of blocks: pooling blocks on images
//                              and, at the end of the last stage, attention blocks on tokens
//     norm, mean over tokens   (N, Cₙ) -> (Cₙ)
//     head, head_dist          two linear classifiers, whose logits are averaged
//
// A step begins with one tensor and ends with one, so a pass can begin anywhere: what an intervention does not reach
// is not computed again.
import { attention_block, flat } from "../layers/attention_block.js";
import { downsample } from "../layers/downsample.js";
import { layer_norm } from "../layers/layer_norm.js";
import { linear } from "../layers/linear.js";
import { pooling_block } from "../layers/pooling_block.js";
import { EVALUATION } from "../layers/run.js";
import { softmax } from "../layers/softmax.js";
import { stem } from "../layers/stem.js";
import { mapped, tensor } from "../layers/tensor.js";

/** The network as a list of {path, kind, compute(x, run), ends}; `ends` are the stages that end here. */
export function steps(p, config) {
  const list = [
    {
      path: "stem",
      kind: "stem",
      ends: [],
      compute: (x, run) => stem(run("pixel_values", x), p.stem, config.batch_norm_eps, run.within("stem")),
    },
  ];
  p.stages.forEach((stage, i) => {
    if (stage.downsample !== null) {
      const path = `stages.${i}.downsample`;
      const { downsample_stride, downsample_pad, batch_norm_eps } = config;
      list.push({
        path,
        kind: "downsample",
        ends: [],
        compute: (x, run) =>
          downsample(
            x,
            stage.downsample,
            downsample_stride,
            downsample_pad,
            batch_norm_eps,
            run.within(path),
          ),
      });
    }
    stage.blocks.forEach((params, j) => {
      const path = `stages.${i}.blocks.${j}`;
      list.push({
        path,
        kind: kindOf(params),
        ends: [],
        compute: (x, run) => block(x, params, config, run.within(path)),
      });
    });
    list.at(-1).ends.push(`stages.${i}`);
  });
  list.push({ path: "norm", kind: "head", ends: [], compute: (x, run) => classify(x, p, config, run) });
  return list;
}

/** Run the steps, from number `first` on, whose input is x; the last result are the scores, (classes). */
export function forward(x, list, run = EVALUATION, first = 0) {
  for (const step of list.slice(first)) {
    x = step.compute(x, run);
    if (step.kind !== "head") x = run(step.path, x);
    for (const stage of step.ends) x = run(stage, x);
  }
  return x;
}

/** Run a block of any kind. */
function block(x, p, config, run) {
  const kind = kindOf(p);
  if (kind === "pooling_block")
    return pooling_block(x, p, config.pool_size, config.hidden_act, config.batch_norm_eps, run);
  if (kind === "attention_block")
    return attention_block(x, p, config.key_dim, config.hidden_act, config.layer_norm_eps, run);
  return x.shape.length === 3 ? flat(x) : x;
}

function kindOf(p) {
  if (p.token_mixer) return "attention_block";
  return p.mlp ? "pooling_block" : "flat";
}

/** From the last tokens to the scores: norm, mean over tokens, two heads, whose logits are averaged. */
function classify(x, p, config, run) {
  x = run("norm", layer_norm(x, p.norm, config.layer_norm_eps));
  const pooled = run("pooled", meanOfTokens(x)); // (N, C) -> (C)
  let logits = run("head", linear(pooled, p.head)); // (C) -> (classes)
  if (p.head_dist !== null) {
    const second = run("head_dist", linear(pooled, p.head_dist));
    logits = mapped(logits, (value, i) => (value + second.data[i]) / 2);
  }
  return run("scores", softmax(run("logits", logits)));
}

function meanOfTokens(x) {
  const C = x.shape.at(-1);
  const N = x.data.length / C;
  const sums = new Float64Array(C);
  for (let i = 0; i < x.data.length; i++) sums[i % C] += x.data[i];
  return tensor(
    [C],
    Float32Array.from(sums, (sum) => sum / N),
  );
}
