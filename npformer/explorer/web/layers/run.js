// How a pass through the network is watched: the last argument of every layer.
//
// A layer passes each tensor through its run: x = run("fc1", linear(x, p.fc1)). The run sees the tensor under its
// path, named as in timm, and gives it back, or another in its place. So one argument records everything
// (`npformer.Trace` in Python), and changes anything.

/** A run that calls see(path, tensor) and goes on with what that returns. */
export function runOf(see, prefix = "") {
  const run = (name, value) => see(prefix + name, value);
  run.within = (name) => runOf(see, `${prefix}${name}.`);
  return run;
}

/** A run that leaves everything as it is. */
export const EVALUATION = runOf((path, value) => value);
