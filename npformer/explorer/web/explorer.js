// The network as the page sees it: what it may ask, and what comes back.
//
// The network runs in a Web Worker, so that the page never waits. Every question is a promise:
//
//   const explorer = await Explorer.open();         // from the page's own data; an Error says what is damaged
//   explorer.network                                // Network, below
//   explorer.photographs                            // [{name, title, url, width, height}], url is a data URL
//
//   await explorer.show({width, height, data})      // -> Answer. RGBA bytes of a photograph of any size, as a
//                                                   //    canvas gives them. Interventions stay as they are.
//   await explorer.intervene([Intervention, …])     // -> Answer. The whole list; [] resets. Only what comes behind
//                                                   //    the first change is computed anew.
//   await explorer.pixels()                         // -> {width, height, data}: RGBA, what the network sees,
//                                                   //    and {left, top, scale…}: see `seen` below
//   await explorer.tensor(path, clean)              // -> {path, shape, data: Float32Array, clean: the same before
//                                                   //    interventions}; channels last, no batch axis
//   await explorer.picture(path, channel, clean)    // -> {width, height, values: Float32Array, low, high} or null.
//                                                   //    One channel, or without `channel` the mean of all
//   await explorer.pictures(clean)                  // -> {path: picture} of every tensor that is one, for the map
//   await explorer.block(path)                      // -> Block, below
//   await explorer.explainNumber(path, index)       // -> Explanation, below; index is a list: [y, x, channel], [token,
//                                                   //    channel], [head, query, key], [channel] or [class]
//   await explorer.receptiveField(path, index)      // -> {top, left, bottom, right, whole}: pixels of what the network
//                                                   //    sees that can change this number; bottom, right not included
//   await explorer.attention(path, token)           // -> Attention, below; path of the mixer: "stages.3.blocks.3.token_mixer"
//   await explorer.rank({kinds, progress, signal})  // -> [Ranked, …]: every block and head switched off in turn, the
//                                                   //    strongest effect first; progress(done, all, rankedSoFar)
//   await explorer.curve(name, low, high, count)    // -> {x, y: Float32Array}: an activation, to draw it
//   explorer.close()
//
// A question about a photograph before the first `show` is an Error. `show` and `intervene` that come while others
// still wait drop these: a dropped promise gives null, so painting asks as often as it likes.
//
//   Network       {title, config, labels, imageSize: {width, height}, grid: {rows, columns}, heads, parameters (count),
//                  steps: [{path, kind, tensors: [{path, shape, layer}]}], sources, weights: {type, exact}}
//                 A step is what the map shows: kind is "stem", "downsample", "pooling_block", "flat",
//                 "attention_block" or "head". `layer` is the kind of the layer that made the tensor, a key of
//                 `sources`: "conv2d", "linear", "batch_norm", "layer_norm", "gelu", "relu", "pooling", "softmax",
//                 "layer_scale", "residual", "attend", "mean", "average", "normalize" … .
//                 sources[name] = {file, equation, code}: the head of the file and the function, from npformer/layers.
//                 Paths are those of `npformer.Trace`, plus: "pixel_values" (what enters the stem), "logits",
//                 "scores", and "….token_mixer.heads", the weighted sums of values side by side.
//   Answer        {top: [{index, label, logit, score}] (10), logits, scores: Float32Array, changed: whether
//                  interventions are on, clean: {top, logits, scores}, recomputed: path of the first step that
//                  was computed anew, milliseconds}
//   Block         {path, kind, inputs: path, output: path, change: ‖output − input‖ / ‖input‖,
//                  branches: [{path, name: "mixer" | "mlp", share: ‖branch‖ / ‖input‖}], tensors: [{path, shape, layer,
//                  low, mean, high}]}
//   Attention     {token, rows, columns, heads: [{weights, scores, biases: Float32Array of rows·columns; table:
//                  Float32Array of rows·columns, by distance (down, across)}]}: scores are q·k scaled, without bias
//   Ranked        {intervention, kind: "block" | "head", path, head, label, change: score of the first answer after
//                  minus before, logit: the same of its logit, first: index of the first answer then, flipped}
//   Explanation   {path, index, value, layer, equation, sentence, parts: [Part, …]}
//                 value is the number in the tensor; the last part's `total` is the same number but for float32's
//                 rounding. Every part can be added up by hand:
//   Part          {name, op, terms: [Term, …], total}
//                 op "sum"        total = Σ term.value
//                    "products"   total = Σ a · b, each term {a: Term, b: Term, value, outside}
//                    "mean"       total = Σ term.value / number of terms
//                    "squares"    total = mean of term.value², the variance of centered numbers
//                    "difference" total = first − second;   "product" total = Π term.value
//                    "quotient"   total = first / second;   "max"     total = the largest term
//                    "deviation"  total = √(first + second): the root of variance + ε
//                    "exp"        total = exp(first);       "gelu"    total = gelu(first), with phi = Φ(first)
//                    "relu" and other activations by their name; "same" total = first: another name of one number
//   Term          {label, value, path, index}    a number of another tensor: click to go there
//                 {label, value, parameter, index}    a parameter, by timm's key
//                 {label, value, part}           the total of an earlier part of this explanation
//                 {label, value}                 a constant, such as ε; `outside: true`: a zero of the padding
//   Intervention  {kind: "block", path}                 both branches add nothing: the block passes its input on
//                 {kind: "branch", path: "….ls1"}       one branch adds nothing (ls1: the mixer's, ls2: the MLP's)
//                 {kind: "head", path: "….token_mixer", head}          its weighted sum is zero
//                 {kind: "biases", path: "….token_mixer"}              scores without attention biases
//                 {kind: "subtraction", path: "….token_mixer"}         pooling keeps the pixel itself
//                 {kind: "scale", path: "….ls1" | "….ls2"}             γ = 1
//                 {kind: "channel", path, channel}                     zero everywhere in this tensor
//                 {kind: "activation", path: "….act", activation: "relu"}   path "*": all MLPs
//                 {kind: "noise", path, strength, seed}   normal noise, strength × the tensor's deviation
//                 {kind: "value", path, index, value}     one number moved by hand
//                 As words of an address: formatInterventions(list) -> string, parseInterventions(string) -> list.
//   seen          what `show` did to the photograph: {scaleX, scaleY, left, top}: pixel (x, y) of the photograph lies
//                 at (x · scaleX − left, y · scaleY − top) of what the network sees; part of `pixels()`.
//
// The page's data are four elements: <script type="application/json" id="explorer-data">, and of type text/plain
// "explorer-weights", "explorer-engine" (the worker's source). `npformer/explorer/page.py` fills the places
// {{title}}, {{style}}, {{data}}, {{weights}}, {{engine}} and {{page}} of page.html: {{style}} from page.css, {{page}}
// from page.js and whatever it imports, {{data}} with lessons/*.json under `lessons`. Modules import only by
// `import { a, b } from "./file.js";` and export only by `export function | class | const`: they are laid behind
// each other in one scope, so no two files of one bundle may give the same name to two things at their top level.
