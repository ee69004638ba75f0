// What each layer does, in a sentence for somebody who knows multiplication.

/** By the kind of the layer. */
export const SENTENCES = {
  normalize:
    "A byte of the photograph becomes a number around 0: divided by 255, less the mean of its color, divided by its deviation.",
  conv2d:
    "Every number of a small window is multiplied by a weight of its own; the products and a bias are added up.",
  linear:
    "Every number of the row is multiplied by a weight of its own; the products and a bias are added up.",
  batch_norm:
    "The number is measured against what was usual for its channel in training: less the mean, divided by the deviation, then scaled and shifted.",
  layer_norm:
    "The number is measured against the other numbers of its token: less their mean, divided by their deviation, then scaled and shifted.",
  pooling:
    "The mean of the pixel and its neighbors, less the pixel itself: how much the surroundings differ from it.",
  layer_scale: "One learned factor for each channel says how much of the branch is let through.",
  residual: "What came in goes on unchanged, and the branch adds its part.",
  attend:
    "A query and a key are multiplied number by number and added up; scaled, and with the bias for their distance, that is the score. Softmax turns the scores of all keys into shares of one.",
  weighted_sum: "Each token's value counts as much as the attention that it gets.",
  softmax: "Each number becomes the share that its exponential has in the sum of all exponentials.",
  mean: "The mean of one channel over all tokens.",
  average: "Two classifiers give their answers; the mean counts.",
  same: "Another name for the same number.",
  flat: "The pixels, row by row, are now called tokens; no number changes.",
  relu: "What is negative becomes 0, the rest stays.",
  gelu: "The number times the share of a normal distribution that lies below it: what is far below 0 vanishes, what is far above stays.",
  activation: "A curve is applied to the number.",
};
