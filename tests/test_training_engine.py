"""Training on the kernels agrees with the plain layers, and gives the same bits always."""

from __future__ import annotations

import re
import tracemalloc

import numpy as np
import pytest
from engine_cases import CASES, check_buffers, config, images, in_a_process, network
from planting import planted

from npformer import engine
from npformer.engine.training import FastGradients
from npformer.engine.training_builder import TrainingBuilder
from npformer.engine.training_call import TrainingCall
from npformer.engine.training_plan import TrainingPlan
from npformer.errors import ConfigError
from npformer.layers import Array, Mode, Trace
from npformer.layers import training as in_training
from npformer.learn.objectives import classification_loss, hard_distillation_loss
from npformer.network import (
    EfficientFormer,
    Gradients,
    Logits,
    Loss,
    gradients,
    update_statistics,
)
from npformer.network.configuration import EfficientFormerConfig
from npformer.network.tree import leaves, transform

RNG = np.random.default_rng(0)  # nothing is drawn from it without noise


@pytest.fixture(autouse=True)
def _default_threads():
    yield
    engine.set_num_threads(None)


def loss(outputs: Logits) -> tuple[float, Logits]:
    targets = np.arange(len(outputs.logits)) % outputs.logits.shape[1]
    return classification_loss(outputs, targets, 0.1)


def two_losses(outputs: Logits) -> tuple[float, Logits]:
    """Each head has a gradient of its own, and a share of that of the mean."""
    n, K = outputs.logits.shape
    value, dlogits = loss(outputs)
    targets = np.arange(n) % K
    more, dheads = hard_distillation_loss(outputs, targets, np.eye(K)[(targets + 1) % K])
    return value + more, dheads._replace(logits=dlogits.logits)


def noisy(drop_path: float) -> Mode:
    return in_training(np.random.default_rng(5), drop_path=drop_path)


class Plain:
    """The plain layers in float64, and how far their float32 is from that, for each leaf.

    One leaf of one batch is a matter of luck: batch norm over few numbers magnifies some roundings.
    So it is the farthest of four, for the images and for images that differ from them in the last
    bit, toward −9, 0 and 9; and besides no leaf being far off, the geometric mean over all leaves
    has to be close to that of the plain layers, which is luck no longer.
    """

    def __init__(
        self,
        x: Array,
        p: EfficientFormer,
        c: EfficientFormerConfig,
        drop_path: float = 0.0,
        loss: Loss = loss,
    ) -> None:
        self.p = p
        wide = transform(np.float64, p)
        self.exact = gradients(x.astype(np.float64), wide, c, loss, noisy(drop_path))
        self.moved = update_statistics(wide, self.exact.tape)
        toward = (np.nextafter(x, np.float32(end)) for end in (-9, 0, 9))
        single = [gradients(y, p, c, loss, noisy(drop_path)).dp for y in (x, *toward)]
        several = [self.distances(dp) for dp in single]
        self.rounding = {path: max(far[path] for far in several) for path in several[0]}

    def distances(self, dp: EfficientFormer) -> dict[str, float]:
        """Of each leaf, in its largest number; in 1, where all are zero but for rounding."""
        both = zip(leaves(dp), leaves(self.exact.dp), strict=True)
        return {path: distance(leaf, want) for (path, leaf), (_, want) in both}

    def agrees(self, found: Gradients) -> None:
        assert found.loss == pytest.approx(self.exact.loss, rel=2e-6)
        distances = self.distances(found.dp)
        for path, far in distances.items():
            assert far <= 2 * max(self.rounding.values()), path
        both = [(far, self.rounding[path]) for path, far in distances.items()]
        ratios = [far / rounding for far, rounding in both if min(far, rounding) > 1e-9]
        assert np.exp(np.mean(np.log(ratios))) <= 1.5
        nothing = biases_before_a_norm(self.p)
        for (path, leaf), (_, want) in zip(leaves(found.dp), leaves(self.p), strict=True):
            assert (leaf.dtype, leaf.shape) == (np.float32, want.shape), path
            assert leaf.any() != (path in nothing or "running" in path), path
        moved = update_statistics(self.p, found.tape)
        for (path, leaf), (_, want) in zip(leaves(moved), leaves(self.moved), strict=True):
            assert distance(leaf, want) <= 1e-5, path


def distance(found: Array, want: Array) -> float:
    scale = float(np.abs(want).max(initial=0))
    return float(np.abs(found - want).max(initial=0)) / (scale if scale > 1e-12 else 1)


def biases_before_a_norm(p: EfficientFormer) -> set[str]:
    """A batch norm takes away what the convolution before it adds."""
    paths = [path for path, _ in leaves(p)]
    found = {path for path in paths if re.fullmatch(r".*\.conv\d?\.bias", path)}
    for path in paths:
        if path.endswith("mlp.norm1.running_var"):
            found |= {path.replace("norm1.running_var", f"fc{i}.bias") for i in (1, 2)}
    return found


@pytest.mark.parametrize("distilled", [True, False])
@pytest.mark.parametrize("name", sorted(set(CASES) - {"no labels"}))
def test_any_network_learns_as_on_the_plain_layers(name, distilled):
    c = config(**CASES[name])
    p, x = network(c, distilled=distilled), images(3)[..., : c.num_channels]
    Plain(x, p, c).agrees(engine.make_gradients(p, c, "numba")(x, p, loss, RNG))


@pytest.mark.parametrize(("height", "width"), [(64, 64), (33, 64), (50, 61)])
@pytest.mark.parametrize("act", ["gelu", "relu", "linear"])
def test_any_size_of_image_and_activation(height, width, act):
    c = config(num_meta3d_blocks=0, hidden_act=act)
    p, x = network(c), images(6, height, width)
    Plain(x, p, c).agrees(engine.make_gradients(p, c, "numba")(x, p, loss, RNG))


def test_many_rows_of_many_parts():
    c = EfficientFormerConfig.variant("l1", image_size=96, resolution=3, depths=(1, 1, 1, 1))
    p, x = network(c), images(4, 96, 96)
    Plain(x, p, c).agrees(engine.make_gradients(p, c, "numba")(x, p, loss, RNG))


def test_both_heads_may_learn_something_else():
    c = config()
    p, x = network(c), images(3)
    found = engine.make_gradients(p, c, "numba")(x, p, two_losses, RNG)
    Plain(x, p, c, loss=two_losses).agrees(found)


def test_channels_far_from_zero():
    """The variance of a channel may be much smaller than its mean."""
    c = config()
    p, x = network(c), images(3) + 30
    Plain(x, p, c).agrees(engine.make_gradients(p, c, "numba")(x, p, loss, RNG))


@pytest.mark.parametrize("name", sorted(set(CASES) - {"no labels"}))
def test_drop_path_draws_and_learns_as_on_the_plain_layers(name):
    c, rate = config(**CASES[name]), 0.4
    p, x = network(c), images(6)[..., : c.num_channels]
    plain, rng = noisy(rate), np.random.default_rng(5)
    found = engine.make_gradients(p, c, "numba", drop_path=rate)(x, p, loss, rng)
    Plain(x, p, c, rate).agrees(found)
    tape = gradients(x, p, c, loss, plain).tape
    masks = [array.ravel() for name, array in tape.items() if name.endswith("mask")]
    assert len(masks) == 2 * (sum(c.depths) - 1)  # the first block keeps its branches
    assert {0} < {*np.concatenate(masks)}
    assert rng.bit_generator.state == plain.rng.bit_generator.state


def test_the_same_bits_for_any_number_of_threads_of_blas():
    """Which follows the number of cores: what NumPy multiplies here has to be small."""
    script = """
from hashlib import sha256
from npformer.bench.inputs import random_weights
from npformer.network.configuration import EfficientFormerConfig
from npformer.learn.objectives import classification_loss
from npformer.network.tree import leaves
c = EfficientFormerConfig.variant("l1", depths=(1, 1, 1, 2))
p, x = random_weights(c), images(16, 224, 224)
run = engine.make_gradients(p, c, "numba")
dp = run(x, p, lambda outputs: classification_loss(outputs, np.arange(16), 0.1), None).dp
print(sha256(b"".join(leaf.tobytes() for _, leaf in leaves(dp))).hexdigest())
"""
    one, two = (in_a_process(script, OPENBLAS_NUM_THREADS=n, OMP_NUM_THREADS=n) for n in "12")
    assert one.stdout == two.stdout


def same_bits(a: Gradients, b: Gradients) -> bool:
    both = zip(leaves(a.dp), leaves(b.dp), strict=True)
    statistics = all((a.tape[name] == b.tape[name]).all() for name in a.tape)
    return a.loss == b.loss and statistics and all((u == v).all() for (_, u), (_, v) in both)


@pytest.mark.parametrize("rate", [0.0, 0.4])
def test_the_same_bits_for_any_number_of_threads_and_run_to_run(rate):
    c = config()
    p, x = network(c), images(5)
    run = engine.make_gradients(p, c, "numba", drop_path=rate)
    first = run(x, p, loss, np.random.default_rng(5))
    for threads in (1, 2, 3, 7):
        engine.set_num_threads(threads)
        for _ in range(3):
            assert same_bits(run(x, p, loss, np.random.default_rng(5)), first)
    again = engine.make_gradients(p, c, "numba", drop_path=rate)
    assert same_bits(again(x, p, loss, np.random.default_rng(5)), first)
    other = again(x, p, loss, np.random.default_rng(6))
    assert same_bits(other, first) == (rate == 0)


def test_parameters_and_size_of_batch_may_change_from_step_to_step():
    c = config()
    run = engine.make_gradients(network(c), c, "numba")
    for seed, count in ((0, 4), (1, 4), (2, 2), (3, 4)):
        p, x = network(c, seed), images(count, seed=seed)
        fresh = engine.make_gradients(p, c, "numba")(x, p, loss, RNG)
        assert same_bits(run(x, p, loss, RNG), fresh)


def test_whatever_was_in_memory_before_changes_nothing():
    c, rate = config(), 0.4
    p, x = network(c), images(4)
    run = FastGradients(c, rate)
    first = run(x, p, loss, np.random.default_rng(5))
    for memory in (run._arena, run._weights):
        memory(0).base[:] = np.nan
    assert same_bits(run(x, p, loss, np.random.default_rng(5)), first)


def test_the_memory_of_the_largest_batch_serves_all():
    c = config()
    p = network(c)

    def most(*counts: int) -> int:
        run = FastGradients(c)
        tracemalloc.start()
        for count in counts:
            run(images(count), p, loss, RNG)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return peak

    most(32)  # what is made once
    assert most(16, 32, 8, 31, 32) < 1.2 * most(32)


ALWAYS = [
    (TrainingCall.batch_norm_gradients, "-scale * by_one / total", "0"),
    (TrainingCall.batch_norm_gradients, "-scale * inverse * by_normal / total", "0"),
    (TrainingCall.batch_norm_gradients, "weight * by_normal + bias * by_one", "by_normal"),
    (TrainingCall.batch_norm_gradients, 'norm}.bias"] = (gamma *', 'norm}.bias"] = (1 *'),
    (TrainingCall.batch_norm_gradients, 'layer}.bias"] = (gamma *', 'layer}.bias"] = (1 *'),
    (TrainingCall.batch_statistics, "parts[:, 1] + between", "parts[:, 1]"),
    (TrainingCall.batch_statistics, "total - n.grain * (len(parts) - 1)", "n.grain"),
    (TrainingPlan._pooling_block, "fc2, residual=dy)", "fc2)"),
    (TrainingPlan._pooling_block, "branch, mixed, fc1", "branch, x, fc1"),
    (TrainingBuilder._mlp_backward, "(fc2, dy, NONE)", "(fc2, dy, 1)"),
    (TrainingPlan._attention_block, "(x, proj, mask1)", "(normal1, proj, mask1)"),
    (TrainingPlan._attention_block, ", dmiddle, dnormal, x)", ", dmiddle, dmiddle, x)"),
    (TrainingCall.keep_gamma_gradient, "images.sum(0", "images[:1].sum(0"),
    (TrainingCall.pool_backward, " / tokens.shape[1]", ""),
    (TrainingPlan._heads, ", residual=dpooled", ""),
    (TrainingPlan._heads, "self._sums(n, dz, NONE)", "self._sums(layers[0], dz, NONE)"),
    (TrainingCall.loss_gradient, "first, self.ddist =", "self.ddist, first ="),
    (TrainingCall._pack_layer, "W.T, np", "W.T * 0.999, np"),
]


WITH_DROP_PATH = [
    (TrainingPlan.__call__, "drop_path_mask(masks, rate, rng)", "1"),
    (TrainingPlan._build, "not isinstance(block, Flat)", "1"),
    (TrainingBuilder._residual, "mask=mask", "mask=self._masks[0][0]"),
    (TrainingBuilder._residual, "mask < 0", "True"),
    (TrainingBuilder._residual_backward, "mask < 0", "True"),
    (TrainingCall.pack, "self.mask(scale.mask) * gamma", "gamma"),
    (TrainingPlan._pooling_block, '"gamma_step": x.step', '"gamma_step": 0'),
    (TrainingCall.keep_gamma_gradient, " * self.mask(scale.mask)", ""),
    (TrainingPlan._pooling_block, "fc2, residual=dy)", "fc2, residual=branch)"),
    (TrainingPlan._attention_block, "(dy, mask2)", "(dy, -1)"),
    (TrainingPlan._attention_block, "(dmiddle, mask1)", "(dmiddle, mask2)"),
    (TrainingPlan._attention_block, "dmiddle, dy, dnormal", "dmiddle, branch, dnormal"),
]


FAULTS = [(0.0, *fault) for fault in ALWAYS] + [(0.4, *fault) for fault in WITH_DROP_PATH]


@pytest.mark.parametrize(
    ("rate", "function", "text", "becomes"), FAULTS, ids=[f[2] for f in FAULTS]
)
def test_planted_faults_are_seen(rate, function, text, becomes):
    c = config()
    p, x = network(c), images(6)
    plain, rng = Plain(x, p, c, rate, two_losses), np.random.default_rng(5)
    with planted(function, text, becomes), pytest.raises(AssertionError):
        plain.agrees(FastGradients(c, rate)(x, p, two_losses, rng))


def test_buffers_in_use_do_not_overlap():
    c = config()
    check_buffers(TrainingPlan(network(c), c, 3, 64, 64))


# Which engine -------------------------------------------------------------------------------------


def test_numpy_means_the_plain_layers():
    c = config()
    p, x = network(c), images(2)
    found = engine.make_gradients(p, c, "numpy")(x, p, loss, RNG)
    assert same_bits(found, gradients(x, p, c, loss, in_training(RNG)))
    assert "stages.0.blocks.0.mlp.fc1" in found.tape


def test_dropout_runs_on_the_plain_layers():
    c, noise = config(), {"dropout": 0.5, "drop_path": 0.5}
    p, x = network(c), images(2)
    found = engine.make_gradients(p, c, **noise)(x, p, loss, np.random.default_rng(5))
    mode = in_training(np.random.default_rng(5), **noise)
    assert same_bits(found, gradients(x, p, c, loss, mode))
    with pytest.raises(ConfigError, match=r"dropout is 0\.5 and engine='numba' has none"):
        engine.make_gradients(p, c, "numba", **noise)


def test_float64_runs_on_the_plain_layers():
    c = config()
    p, x = transform(np.float64, network(c)), images(2)
    found = engine.make_gradients(p, c)(x, p, loss, RNG)
    assert {leaf.dtype for _, leaf in leaves(found.dp)} == {np.dtype("float64")}
    with pytest.raises(ConfigError, match="float64"):
        engine.make_gradients(p, c, "numba")


def test_an_image_that_does_not_fit_is_refused():
    c = config()
    p = network(c)
    with pytest.raises(ConfigError, match="grid"):
        engine.make_gradients(p, c, "numba")(images(1, 96, 96), p, loss, RNG)


def test_statistics_are_all_that_the_tape_holds():
    c = config()
    p, x = network(c), images(2)
    tape = engine.make_gradients(p, c, "numba")(x, p, loss, RNG).tape
    assert isinstance(tape, Trace)
    assert {name.rsplit(".", 1)[-1] for name in tape} == {"mean", "var", "n"}


@pytest.mark.parametrize("which", ["numba", "numpy"])
def test_images_that_were_not_preprocessed_are_refused(which):
    c = config()
    p, x = network(c), images(2)
    step = engine.make_gradients(p, c, which)
    with pytest.raises(TypeError, match="pixel values are uint8; expected floating point"):
        step(x.astype(np.uint8), p, loss, RNG)
    with pytest.raises(ConfigError, match=r"np.moveaxis\(x, 1, -1\)"):
        step(np.moveaxis(x, -1, 1), p, loss, RNG)
