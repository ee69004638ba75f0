"""The engine's promises: the plain numbers, the same bits however the work is cut, any network."""

from __future__ import annotations

import os
import sys
import tracemalloc
import warnings
from importlib.metadata import version
from pathlib import Path
from threading import Event, Thread
from time import sleep

import numpy as np
import pytest
from engine_cases import CASES, TWO, check_buffers, config, images, network
from hypothesis import given, settings
from hypothesis import strategies as st

from npformer import engine
from npformer.engine import choose, code_file, fast, machine_code, threads
from npformer.engine.arena import Arena
from npformer.engine.pack import PackedNetwork
from npformer.engine.plan import Plan
from npformer.engine.steps import Kind
from npformer.engine.walk import execute
from npformer.errors import ConfigError
from npformer.kernels.layout import LANES, PLACE
from npformer.layers import Run, Trace, training
from npformer.network import forward
from npformer.network.configuration import EfficientFormerConfig
from npformer.network.tree import transform


@pytest.fixture(autouse=True)
def _default_threads():
    yield
    engine.set_num_threads(None)


def same(found, expected, tolerance):
    for a, b in zip(found, expected, strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            assert a.shape == b.shape
            assert a.dtype == np.float32
            assert np.abs(a - b).max() <= tolerance * max(1, np.abs(b).max())


def traces_agree(fast, plain, tolerance=5e-6):
    for key, value in fast.items():
        want = plain[key]
        assert value.shape == want.shape, key
        assert np.abs(value - want).max() <= tolerance * np.abs(want).max(), key


@pytest.mark.parametrize("distilled", [True, False])
@pytest.mark.parametrize("name", CASES)
def test_any_network_agrees_with_the_plain_layers(name, distilled):
    c = config(**CASES[name])
    p = network(c, distilled=distilled)
    x = images(2)[..., : c.num_channels]
    fast, plain = Trace(), Trace()
    found = engine.make_forward(p, c, "numba")(x, fast)
    same(found, forward(x, p, c, plain), 5e-6)
    traces_agree(fast, plain)
    blocks = {f"stages.{i}.blocks.{j}" for i, depth in enumerate(c.depths) for j in range(depth)}
    assert blocks <= set(fast)
    assert {"stem", "norm", "pooled"} <= set(fast)
    assert sum(key.endswith("token_mixer.attn") for key in fast) == c.num_meta3d_blocks
    assert [key for key in plain if key in fast] == list(fast)


@pytest.mark.parametrize(("height", "width"), [(64, 64), (33, 64), (50, 61)])
def test_any_size_of_image(height, width):
    c = config(num_meta3d_blocks=0)
    p, x = network(c), images(1, height, width)
    same(engine.make_forward(p, c, "numba")(x), forward(x, p, c), 5e-6)


def test_the_walk_in_plain_python():
    """The text that Numba compiles, run as it stands."""
    c = config(resolution=1)
    p, x = network(c), images(1, 32, 32)
    packed = PackedNetwork(p, c)
    plan = Plan(packed, 32, 32)
    arena = plan.borrow(1)
    table = plan.table.view(np.recarray)
    counters = np.zeros(PLACE + 3 * len(table), np.int64)
    arrays = counters, arena.memory, packed.weights, x.ravel()
    execute(table, *arrays, 1, 0, len(table), 1, 0, plan.size)
    found = np.empty((1, 7), np.float32)
    plan.read("head", arena, found)
    same([found], [forward(x, p, c).cls_logits], 5e-6)


@pytest.mark.parametrize("name", ["l1", "l3", "l7"])
def test_published_sizes(name):
    c = EfficientFormerConfig.variant(name)
    p, x = network(c, gamma=(0.1, 0.3)), images(1, 224, 224)
    fast, plain = Trace(), Trace()
    found = engine.make_forward(p, c, "numba")(x, fast)
    want = forward(x, p, c, plain)
    assert np.abs(found.logits - want.logits).max() <= 2e-5
    traces_agree(fast, plain)
    branches = [key for key in plain if key.endswith((".ls1", ".ls2"))]
    assert len(branches) == 2 * sum(c.depths)
    for key in branches:  # so much of a block that an error of 0.1 % in it is seen
        block = fast[key.rpartition(".")[0]]
        assert np.abs(plain[key]).max() * 1e-3 >= 5e-6 * np.abs(block).max(), key


@pytest.fixture(scope="module", params=TWO)
def nine(request):
    """A network, nine images, and their logits one by one on one thread."""
    c = config(**CASES[request.param])
    run = engine.make_forward(network(c), c, "numba")
    x = images(9)
    engine.set_num_threads(1)
    return run, x, np.concatenate([run(x[i : i + 1]).logits for i in range(9)])


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_the_same_bits_for_any_number_of_threads_and_any_batch(nine, n):
    run, x, alone = nine
    engine.set_num_threads(n)
    for B in range(1, 10):
        np.testing.assert_array_equal(run(x[:B]).logits, alone[:B])


@pytest.mark.parametrize("n", [1, 2, 3])
def test_the_same_bits_at_a_published_size(n):
    """Of which each thread has work enough, and every tile is used."""
    c = EfficientFormerConfig.variant("l1")
    run = engine.make_forward(network(c, gamma=(0.1, 0.3)), c, "numba")
    x = images(5, 224, 224)
    engine.set_num_threads(1)
    alone = np.concatenate([run(x[i : i + 1]).logits for i in range(5)])
    engine.set_num_threads(n)
    np.testing.assert_array_equal(run(x).logits, alone)
    np.testing.assert_array_equal(run(x[3::-1]).logits, alone[3::-1])


@settings(max_examples=40, deadline=None)
@given(n=st.integers(1, 4), order=st.permutations(range(9)), cuts=st.sets(st.integers(1, 8)))
def test_the_same_bits_for_any_split_and_any_order(nine, n, order, cuts):
    run, x, alone = nine
    engine.set_num_threads(n)
    for part in np.split(order, sorted(cuts)):
        np.testing.assert_array_equal(run(x[part]).logits, alone[part])


def test_what_is_kept_changes_no_bit():
    c = config()
    run = engine.make_forward(network(c), c, "numba")
    x = images(2)
    some, everything = Trace("stages.1", "*.attn"), Trace()
    want = run(x).logits
    np.testing.assert_array_equal(run(x, some).logits, want)
    np.testing.assert_array_equal(run(x, everything).logits, want)
    assert set(some) == {
        "stages.1",
        "stages.3.blocks.2.token_mixer.attn",
        "stages.3.blocks.3.token_mixer.attn",
    }
    for key in some:
        np.testing.assert_array_equal(some[key], everything[key])


@pytest.mark.case(49)
def test_a_batch_of_none():
    c = config()
    run = engine.make_forward(network(c), c, "numba")
    assert run(images(0)).logits.shape == (0, 7)


@pytest.mark.parametrize("case", TWO)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_a_number_comes_out_as_from_the_plain_layers(bad, case):
    """Where it was put in; neither in the next image nor in the next call, which is clean."""
    c = config(**CASES[case])
    p, x = network(c), images(2)
    run = engine.make_forward(p, c, "numba")
    clean, alone = run(x).logits, run(x[1:]).logits
    x[0, 20, 30, 1] = bad
    fast, plain = Trace(), Trace()
    found = run(x, fast)
    with np.errstate(all="ignore"):
        forward(x, p, c, plain)
    assert not np.isfinite(found.logits[0]).any()
    np.testing.assert_array_equal(found.logits[1:], alone)
    for key in fast:
        strange = [np.where(np.isfinite(trace[key]), 0, trace[key]) for trace in (fast, plain)]
        np.testing.assert_array_equal(*strange, key)
    if case == TWO[0]:  # the other adds up so many channels that infinities of both signs meet
        assert np.isinf(plain["stem"]).any() == np.isinf(bad)
    np.testing.assert_array_equal(run(images(2)).logits, clean)


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e30])
@pytest.mark.parametrize(("leaf", "place"), [("weight", (..., 5, 7)), ("bias", 7)])
def test_weights_that_cannot_be_added_are_multiplied_as_they_are(leaf, place, bad):
    """A sum would carry what is wrong in one column to another."""
    c = config(**CASES["seven products"])
    p, x = network(c), images(1)
    assert PackedNetwork(p, c).stages[0].blocks[0].fc2.strassen
    getattr(p.stages[0].blocks[0].mlp.fc2, leaf)[place] = bad
    assert not PackedNetwork(p, c).stages[0].blocks[0].fc2.strassen
    fast, plain = Trace("stages.0.blocks.0"), Trace("stages.0.blocks.0")
    engine.make_forward(p, c, "numba")(x, fast)
    with np.errstate(all="ignore"):
        forward(x, p, c, plain)
    (found,), (want,) = fast.values(), plain.values()
    odd = ~np.isfinite(want)
    assert odd[..., 7].any() == (not np.isfinite(bad))
    np.testing.assert_array_equal(found[odd], want[odd])
    np.testing.assert_allclose(found[~odd], want[~odd], rtol=1e-4, atol=1e-5)


def test_layouts_and_dtypes_of_images():
    c = config()
    run = engine.make_forward(network(c), c, "numba")
    x = images(2)
    want = run(x).logits
    backwards = np.ascontiguousarray(x[::-1, :, ::-1])[::-1, :, ::-1]
    fortran = np.asfortranarray(x)
    read_only = x.copy()
    read_only.flags.writeable = False
    for same_images in (backwards, fortran, read_only, x.astype(np.float64), x.astype(">f4")):
        np.testing.assert_array_equal(run(same_images).logits, want)


def test_results_belong_to_the_caller():
    c = config()
    run = engine.make_forward(network(c), c, "numba")
    first, x = run(images(1)), images(1, seed=5)
    kept = first.logits.copy()
    run(x)
    np.testing.assert_array_equal(first.logits, kept)


@pytest.mark.case(46)
def test_the_wrong_size_is_refused_before_anything_runs():
    c = config()
    run = engine.make_forward(network(c), c, "numba")
    with pytest.raises(ConfigError, match="grid of 3×3"):
        run(images(1, 96, 96))
    with pytest.raises(ConfigError, match="channels last"):
        run(images(1)[0])


@pytest.mark.case(51)
def test_memory_is_that_of_a_few_images_and_not_of_the_batch():
    c = config()
    run = engine.make_forward(network(c), c, "numba")
    run(images(1))
    run(images(9))
    assert [plan.capacity for plan in run.fast._plans.values()] == [1, fast.GROUP_SIZE]


def test_a_call_allocates_its_results_and_nothing_else():
    c = config()
    run, x = engine.make_forward(network(c), c, "numba"), images(9)
    results = sum(array.nbytes for array in run(x))
    peaks = []
    for _ in range(5):  # a helper that joins for the first time brings its own memory, once
        tracemalloc.start()
        run(x)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert results < 1000
    assert min(peaks) < 20_000  # Python's own objects; the input has 442,368 bytes


def test_a_network_remembers_a_few_plans_only():
    c = config(num_meta3d_blocks=0)
    run = engine.make_forward(network(c), c, "numba")
    for i in range(fast.MAX_PLANS + 3):
        run(images(1, 40 + i, 40))
    assert len(run.fast._plans) == fast.MAX_PLANS


def test_buffers_in_use_do_not_overlap():
    c = config()
    for wanted in ((), ("stem", "stages.0", "stages.2.blocks.1")):
        check_buffers(Plan(PackedNetwork(network(c), c), 64, 64, 2, wanted))


def test_windows_of_two_threads_do_not_touch():
    c = config(**CASES["other windows"])
    table = Plan(PackedNetwork(network(c), c), 64, 64).table
    windows = table[table["kind"] == Kind.IM2COL]
    assert len(windows)
    numbers = windows["window"] ** 2 * windows["channels"]
    assert (windows["y_step"] >= numbers + LANES - 1).all()


# Which engine -------------------------------------------------------------------------------------


def test_an_engine_that_there_is_not():
    c = config()
    with pytest.raises(ConfigError, match="'fast'; expected one of auto, numba, numpy"):
        engine.make_forward(network(c), c, "fast")


def test_numpy_means_the_plain_layers():
    c = config()
    p, x = network(c), images(1)
    trace = Trace()
    found = engine.make_forward(p, c, "numpy")(x, trace)
    np.testing.assert_array_equal(found.logits, forward(x, p, c).logits)
    assert "stages.0.blocks.0.mlp.fc1" in trace


def test_what_kernels_cannot_run_is_said_once():
    c = config(hidden_act="mish")
    p, x = network(c), images(1)
    with pytest.raises(ConfigError, match="mish"):
        engine.make_forward(p, c, "numba")
    choose._warn_once.cache_clear()
    with pytest.warns(RuntimeWarning, match="mish") as caught:
        run = engine.make_forward(p, c)
    assert len(caught) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        engine.make_forward(p, c)
    np.testing.assert_array_equal(run(x).logits, forward(x, p, c).logits)


def test_float64_is_for_proofs():
    c = config()
    p, x = network(c, dtype="float64"), images(1)
    with pytest.raises(ConfigError, match="float64"):
        engine.make_forward(p, c, "numba")
    np.testing.assert_array_equal(engine.make_forward(p, c)(x).logits, forward(x, p, c).logits)


def test_a_run_in_training_is_never_evaluated_in_silence():
    c = config()
    p, x = network(c), images(2)
    mode = training(np.random.default_rng(0))
    found = engine.make_forward(p, c)(x, Run(mode)).logits
    np.testing.assert_array_equal(found, forward(x, p, c, Run(mode)).logits)
    assert not np.array_equal(found, engine.make_forward(p, c)(x).logits)
    with pytest.raises(ConfigError, match="only evaluates; use engine='numpy'"):
        engine.make_forward(p, c, "numba")(x, Run(mode))


def test_auto_shows_everything_to_a_recorder_that_wants_it():
    c = config()
    p, x = network(c), images(1)
    run = engine.make_forward(p, c)
    everything, plain, outside = Trace(), Trace(), Trace("stages.?", "*.attn")
    run(x, everything)
    forward(x, p, c, plain)
    assert list(everything) == list(plain)
    survivors = Trace()
    found = engine.make_forward(p, c, "numba")(x, survivors)
    assert set(plain) - set(survivors) == set(choose._inner_names(c)) & set(plain)
    np.testing.assert_array_equal(run(x, outside).logits, found.logits)


@pytest.mark.parametrize(
    ("machine", "features", "expected"),
    [
        ("x86_64", {"fma": True}, True),
        ("AMD64", {"fma": True}, True),
        ("x86_64", {"fma": False, "avx": True}, False),
        ("x86_64", {}, False),
        ("aarch64", {}, True),
        ("arm64", {}, True),
        ("riscv64", {}, False),
    ],
)
def test_who_has_fused_multiply_add(machine, features, expected):
    assert machine_code.has_fma(machine, features) is expected


FAILED = f"compiling the kernels failed with Numba {version('numba')} and llvmlite "
FAILED += f"{version('llvmlite')} (%s); another release of Numba may work"


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (AttributeError("no such pass"), FAILED % "AttributeError: no such pass"),
        (ImportError("Numba needs NumPy 2.4 or less"),
         FAILED % "ImportError: Numba needs NumPy 2.4 or less"),
        (ModuleNotFoundError("moved", name="numba.core.codegen"),
         FAILED % "ModuleNotFoundError: moved"),
        (ModuleNotFoundError("not there", name="numba"), "Numba is missing (not there)"),
    ],
)  # fmt: skip
def test_a_compiler_that_fails_is_named_with_its_version(error, reason, monkeypatch):
    def fail():
        raise error

    monkeypatch.setattr(machine_code, "entry", fail)
    assert machine_code.unavailable_reason() == reason


def test_the_parameters_are_not_kept():
    c = config()
    p = transform(np.copy, network(c))
    run = engine.make_forward(p, c, "numba")
    want = run(images(1)).logits
    p.stem.conv1.weight[:] = np.nan
    np.testing.assert_array_equal(run(images(1)).logits, want)


# Machine code -------------------------------------------------------------------------------------


def test_a_damaged_file_is_not_used(tmp_path, monkeypatch):
    monkeypatch.setenv("NPFORMER_CACHE_DIR", str(tmp_path))
    assert machine_code.read() is None
    machine_code.write(b"code")
    assert machine_code.read() == b"code"
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:-1])
    assert machine_code.read() is None
    file.write_bytes(b"")
    assert machine_code.read() is None


@pytest.mark.skipif(sys.platform == "win32", reason="has no such permissions")
def test_the_file_is_private_whatever_the_mask(tmp_path, monkeypatch):
    monkeypatch.setenv("NPFORMER_CACHE_DIR", str(tmp_path / "cache"))
    before = os.umask(0)
    try:
        machine_code.write(b"code")
    finally:
        os.umask(before)
    (file,) = (tmp_path / "cache").iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700


@pytest.mark.skipif(sys.platform == "win32", reason="has no such owners and modes")
def test_code_that_somebody_else_may_have_written_is_not_run(tmp_path, monkeypatch):
    monkeypatch.setenv("NPFORMER_CACHE_DIR", str(tmp_path))
    machine_code.write(b"code")
    (file,) = tmp_path.iterdir()
    for mode in (0o620, 0o602, 0o666):
        file.chmod(mode)
        with pytest.warns(
            RuntimeWarning, match=rf"may be changed by other users \(mode {mode:o}\)"
        ):
            assert machine_code.read() is None
    file.chmod(0o644)
    assert machine_code.read() == b"code"
    user = os.getuid()
    monkeypatch.setattr(os, "getuid", lambda: user + 1)
    assert (machine_code.read() == b"code") == (user == 0)  # what root wrote may be run
    status = os.stat_result((0o100600, 0, 0, 1, user + 2, 0, 0, 0, 0, 0))
    assert code_file.who_else(status) == f"belong to another user ({user + 2})"
    assert code_file.who_else(os.stat_result((0o100600, 0, 0, 1, user + 1, 0, 0, 0, 0, 0))) is None
    monkeypatch.delattr(os, "getuid")  # Windows
    assert code_file.who_else(status) is None


def test_what_a_kill_left_in_the_cache_is_deleted_after_an_hour(tmp_path, monkeypatch):
    monkeypatch.setenv("NPFORMER_CACHE_DIR", str(tmp_path))
    old, new = (tmp_path / f".{machine_code.file_name()}.{i:016x}" for i in (1, 2))
    for path in (old, new):
        path.write_bytes(b"half")
    os.utime(old, (0, 0))
    machine_code.write(b"code")
    assert sorted(path.name for path in tmp_path.iterdir()) == [new.name, machine_code.file_name()]


@pytest.mark.skipif(sys.platform == "win32", reason="links need a right there")
def test_a_link_in_the_place_of_the_temporary_file_is_not_followed(tmp_path, monkeypatch):
    monkeypatch.setenv("NPFORMER_CACHE_DIR", str(tmp_path / "cache"))
    machine_code.write(b"code")
    (file,) = (tmp_path / "cache").iterdir()
    monkeypatch.setattr(os, "urandom", bytes)  # the name is known
    link = file.with_name(f".{file.name}.{bytes(8).hex()}")
    link.symlink_to(tmp_path / "precious")
    with pytest.warns(RuntimeWarning, match="cannot keep its compiled kernels"):
        machine_code.write(b"other")
    assert not (tmp_path / "precious").exists()
    assert link.is_symlink()
    assert machine_code.read() == b"code"


def test_a_write_that_fails_leaves_nothing_behind(tmp_path, monkeypatch):
    monkeypatch.setenv("NPFORMER_CACHE_DIR", str(tmp_path))

    def full(path, data):
        raise OSError("no space left")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.warns(RuntimeWarning, match="no space left"):
        machine_code.write(b"code")
    assert not list(tmp_path.iterdir())


def test_a_directory_that_cannot_be_written_to_is_told_once(tmp_path, monkeypatch):
    blocked = tmp_path / "file"
    blocked.write_text("not a directory")
    monkeypatch.setenv("NPFORMER_CACHE_DIR", str(blocked / "cache"))
    monkeypatch.setattr(machine_code, "compile_walk", lambda: b"code")
    monkeypatch.setattr(machine_code, "_link", lambda code: {"execute": code})
    machine_code._entries.cache_clear()
    try:
        with pytest.warns(RuntimeWarning, match="NPFORMER_CACHE_DIR") as caught:
            assert machine_code.entry() == b"code"
        assert machine_code.entry() == b"code"
        assert len(caught) == 1
    finally:
        machine_code._entries.cache_clear()


@pytest.mark.parametrize(
    ("platform", "environment", "expected"),
    [
        ("linux", {"XDG_CACHE_HOME": "/x"}, "/x/npformer"),
        ("linux", {"HOME": "/h"}, "/h/.cache/npformer"),
        ("darwin", {"HOME": "/h"}, "/h/Library/Caches/npformer"),
        ("win32", {"LOCALAPPDATA": "/l"}, "/l/npformer"),
        ("linux", {"NPFORMER_CACHE_DIR": "/c"}, "/c"),
    ],
)
def test_where_machine_code_is_kept(monkeypatch, platform, environment, expected):
    for name in ("XDG_CACHE_HOME", "NPFORMER_CACHE_DIR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(machine_code.sys, "platform", platform)
    assert code_file.cache_directory().as_posix() == expected


# Threads ------------------------------------------------------------------------------------------


def nothing():
    """Release nobody."""


@pytest.mark.parametrize("allowed", [0, 2])
def test_helpers_that_cannot_be_started_are_done_without(monkeypatch, allowed):
    start, begun = Thread.start, []

    def limited(thread):
        if len(begun) == allowed:
            raise RuntimeError("can't start new thread")
        begun.append(thread)
        start(thread)

    monkeypatch.setattr(Thread, "start", limited)
    team = threads.Team()
    for _ in range(5):
        seen = []
        team.run(seen.append, 4, nothing, True)
        assert 0 in seen
        assert len(seen) <= 1 + allowed
    assert len(begun) == allowed
    assert team._jobs.qsize() <= 5 * allowed  # no job for helpers that are not there
    monkeypatch.undo()
    team.run(lambda i: None, 4, nothing, True)  # the limit is gone
    assert team._size == 3


def test_number_of_threads(monkeypatch):
    monkeypatch.setenv("NPFORMER_NUM_THREADS", "3")
    assert engine.get_num_threads() == 3
    engine.set_num_threads(2)
    assert engine.get_num_threads() == 2
    engine.set_num_threads(None)
    monkeypatch.delenv("NPFORMER_NUM_THREADS")
    assert engine.get_num_threads() == threads.usable_cores()


@pytest.mark.parametrize("bad", [0, -1, 1.5, True, "two"])
def test_a_number_of_threads_that_there_is_not(bad, monkeypatch):
    with pytest.raises(ConfigError, match="whole number from 1"):
        engine.set_num_threads(bad)
    monkeypatch.setenv("NPFORMER_NUM_THREADS", "none")
    with pytest.raises(ConfigError, match="NPFORMER_NUM_THREADS is 'none'"):
        engine.get_num_threads()


GROUPS = {
    "version 2": ("0::/a/b\n", {"sys/fs/cgroup/a/b/cpu.max": "150000 100000"}, 1.5),
    "version 2, parent": (
        "0::/a/b\n",
        {"sys/fs/cgroup/a/cpu.max": "200000 100000", "sys/fs/cgroup/a/b/cpu.max": "max 100000"},
        2,
    ),
    "version 2, in a container": ("0::/\n", {"sys/fs/cgroup/cpu.max": "300000 100000"}, 3),
    "version 1": (
        "3:memory:/a\n4:cpu,cpuacct:/a\n",
        {
            "sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_quota_us": "250000\n",
            "sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_period_us": "100000\n",
        },
        2.5,
    ),
    "no limit": ("0::/a\n", {"sys/fs/cgroup/a/cpu.max": "max 100000"}, float("inf")),
    "version 1, no limit": (
        "4:cpu:/\n",
        {
            "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1",
            "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
        },
        float("inf"),
    ),
    "damaged": ("0::/a\n", {"sys/fs/cgroup/a/cpu.max": "a lot"}, float("inf")),
}


@pytest.mark.parametrize("name", GROUPS)
def test_limits_of_a_control_group(name, tmp_path):
    groups, files, expected = GROUPS[name]
    for file, text in ({"proc/self/cgroup": groups} | files).items():
        path = tmp_path / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert threads._group_limit(tmp_path) == expected
    cores = threads.usable_cores(tmp_path)
    assert 1 <= cores <= max(1, expected)


def test_no_control_groups(tmp_path):
    assert threads._group_limit(tmp_path) == float("inf")


def test_a_job_that_is_closed_takes_nobody():
    seen = []
    job = threads.Job(seen.append, nothing)
    job.join()
    job.close(waits=True)
    job.join()
    assert seen == [1]


def test_helpers_wait_at_a_gate():
    """What the first thread does before a step is done when the others begin it."""
    packed = PackedNetwork(network(config()), config())
    plan = Plan(packed, 32, 32)
    arena = plan.borrow(4)
    first, pixels = plan.table[:1], np.empty(3 * 32 * 32, np.float32)
    first["gate"] = 1

    def late() -> None:
        sleep(0.05)
        pixels[:] = images(1, 32, 32).ravel()

    found = []
    for _ in range(5):
        pixels[:] = np.nan
        arena.execute(first, packed.weights, 1, pixels, [(0, late)])
        at, size = first["y"][0], first["rows"][0] * first["y_step"][0]
        found.append(arena.memory[at : at + size].copy())
    assert np.isfinite(found).all()
    assert all((one == found[0]).all() for one in found)


def test_an_error_at_a_gate_lets_the_helpers_go():
    packed = PackedNetwork(network(config()), config())
    plan = Plan(packed, 32, 32)
    arena = plan.borrow(4)
    plan.table["gate"][0] = 1

    def fail() -> None:
        sleep(0.05)  # the helpers are there, and wait
        raise ZeroDivisionError

    caught = []

    def call() -> None:
        try:
            arena.execute(plan.table, packed.weights, 1, gates=[(0, fail)])
        except ZeroDivisionError as error:
            caught.append(error)

    thread = Thread(target=call, daemon=True)
    thread.start()
    thread.join(20)
    assert caught
    assert not thread.is_alive()


@pytest.mark.parametrize("fails", [0, 5])
def test_after_an_error_no_more_rounds_are_begun(fails, monkeypatch):
    engine.set_num_threads(2)
    run, x = engine.make_forward(network(config()), config(), "numba"), images(64)
    run(x)
    begun, borrow = [], Plan.borrow

    def failing(plan: Plan, n: int) -> Arena:
        begun.append(n)
        if len(begun) == fails + 1:
            raise ZeroDivisionError
        sleep(0.02)
        return borrow(plan, n)

    monkeypatch.setattr(Plan, "borrow", failing)
    with pytest.raises(ZeroDivisionError):
        run(x)
    assert len(begun) <= fails + 3
    monkeypatch.undo()
    np.testing.assert_array_equal(run(x).logits, run(x).logits)


def test_an_error_of_a_helper_reaches_the_caller():
    joined = Event()

    def work(thread: int) -> None:
        if thread == 0:
            joined.wait(20)
        else:
            joined.set()
            raise ZeroDivisionError

    for _ in range(3):  # the helper lives on
        joined.clear()
        with pytest.raises(ZeroDivisionError):
            threads.run(work, 2)


def test_an_error_in_the_work_reaches_the_caller():
    def work(thread):
        raise ZeroDivisionError

    for n in (1, 2):
        with pytest.raises(ZeroDivisionError):
            threads.run(work, n)
