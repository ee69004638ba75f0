"""The engine's promises that concern whole processes; each test runs in a process of its own."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest
from engine_cases import PRELUDE, TWO, in_a_process
from stored_answers import COFFEE_IS, first_score

import npformer
from npformer.checkpoints.folder import find
from npformer.engine import machine_code
from npformer.files.shipped import shipped

COFFEE = Path(__file__).parents[1] / "notebooks/images/coffee.png"
COMPILING = "npformer: compiling its kernels for this processor, once (some seconds)\n"

pytestmark = pytest.mark.slow

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")

FORK = """
def child():
    check(run(x).logits)
    assert threading.active_count() == 2, threading.enumerate()  # a helper of its own
def forked():
    pid = os.fork()
    if not pid:
        code = 1
        try:
            child()
            code = 0
        finally:
            os._exit(code)
    assert os.waitpid(pid, 0)[1] == 0
engine.set_num_threads(2)
warnings.simplefilter("ignore", DeprecationWarning)  # of fork in a process with threads
"""


@pytest.mark.case(96)
@needs_fork
def test_a_forked_child_runs_after_its_parent_and_before():
    in_a_process(
        FORK
        + """
run = engine.make_forward(p, c, "numba")
forked()            # before the parent has run
check(run(x).logits)
forked()            # and after
check(run(x).logits)
"""
    )


@pytest.mark.case(96)
@needs_fork
def test_a_child_forked_while_threads_run():
    in_a_process(
        FORK
        + """
run = engine.make_forward(p, c, "numba")
stop = []
def keep_running():
    while not stop:
        run(x)
busy = [threading.Thread(target=keep_running) for _ in range(2)]
for t in busy: t.start()
for _ in range(5): forked()
stop.append(1)
for t in busy: t.join()
"""
    )


def test_spawned_children():
    in_a_process(
        """
import multiprocessing, engine_cases
from functools import partial
run = engine.make_forward(p, c, "numba")
check(run(x).logits)
with multiprocessing.get_context("spawn").Pool(2) as pool:
    for logits in pool.map(engine_cases.logits_of, [x, x]):
        np.testing.assert_array_equal(logits, run(x).logits)
"""
    )


@pytest.mark.case(96)
def test_several_python_threads_share_a_network():
    in_a_process(
        """
engine.set_num_threads(2)
run = engine.make_forward(p, c, "numba")
want_bits = [run(x[i:i + 1]).logits for i in range(3)]
wrong = []
def many(i):
    for _ in range(30):
        if not np.array_equal(run(x[i:i + 1]).logits, want_bits[i]):
            wrong.append(i)
callers = [threading.Thread(target=many, args=(i % 3,)) for i in range(6)]
for t in callers: t.start()
for t in callers: t.join()
assert not wrong
(plan,) = run.fast._plans.values()
assert 1 <= len(plan._idle) <= 6
"""
    )


def test_several_python_threads_with_images_of_more_sizes_than_are_remembered():
    in_a_process(
        """
engine.set_num_threads(2)
c = config(num_meta3d_blocks=0)
run = engine.make_forward(network(c), c, "numba")
from npformer.engine import fast
fast.MAX_PLANS = 1
sizes = [images(1, 40 + i, 40) for i in range(4)]
want_bits = [run(one).logits for one in sizes]
wrong = []
def many(first):
    for n in range(40):
        i = (first + n) % len(sizes)
        if not np.array_equal(run(sizes[i]).logits, want_bits[i]):
            wrong.append(i)
callers = [threading.Thread(target=many, args=(i,)) for i in range(4)]
threading.excepthook = wrong.append
sys.setswitchinterval(1e-6)
for t in callers: t.start()
for t in callers: t.join()
assert not wrong, wrong
assert len(run.fast._plans) <= fast.MAX_PLANS
"""
    )


@pytest.mark.case(95)
def test_without_numba_and_without_code_the_plain_layers_runs(tmp_path):
    in_a_process(
        """
sys.modules["numba"] = None
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    run = engine.make_forward(p, c)
    engine.make_forward(p, c)
assert len(caught) == 1 and "Numba is missing" in str(caught[0].message), caught
np.testing.assert_array_equal(run(x).logits, want)
""",
        NPFORMER_CACHE_DIR=str(tmp_path),
    )


@pytest.mark.case(95)
def test_a_numba_that_cannot_compile_the_kernels_is_named(tmp_path):
    """Say once which version that is, and run the plain layers."""
    in_a_process(
        """
import numba.core.compiler
del numba.core.compiler.compile_extra
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    run = engine.make_forward(p, c)
    engine.make_forward(p, c)
    engine.make_gradients(p, c)
(text,) = [str(warning.message) for warning in caught]
assert text.startswith("npformer runs on NumPy alone, several times slower: compiling"), text
assert f"failed with Numba {numba.__version__} and llvmlite" in text, text
assert "AttributeError" in text, text
np.testing.assert_array_equal(run(x).logits, want)
""",
        NPFORMER_CACHE_DIR=str(tmp_path),
    )


def test_a_numba_without_what_is_replaced_there_is_told(tmp_path):
    """The kernels run, and one warning says that they may be slow."""
    in_a_process(
        """
import numba
from numba.core.codegen import CPUCodeLibrary, JITCPUCodegen
from numba.core.cpu import CPUContext
from numba.core.typing import Context
from npformer.engine.machine_code import missing_internals
target = CPUContext(Context(), "cpu")
assert missing_internals(target) == []
keep = CPUCodeLibrary._optimize_functions
del CPUCodeLibrary._optimize_functions, target._internal_codegen
found = ["JITCodeLibrary._optimize_functions", "CPUContext._internal_codegen"]
assert missing_internals(target) == found
CPUCodeLibrary._optimize_functions = keep
del JITCPUCodegen.set_env
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    run = engine.make_forward(p, c, "numba")
    engine.make_forward(p, c, "numba")
check(run(x).logits)
(text,) = [str(warning.message) for warning in caught]
assert text.startswith(f"Numba {numba.__version__} has no JITCPUCodegen.set_env, which"), text
""",
        NPFORMER_CACHE_DIR=str(tmp_path),
    )


def test_without_llvmlite_the_plain_layers_runs():
    in_a_process(
        """
sys.modules["llvmlite"] = sys.modules["llvmlite.binding"] = None
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    run = engine.make_forward(p, c)
assert len(caught) == 1 and "llvmlite is missing" in str(caught[0].message), caught
np.testing.assert_array_equal(run(x).logits, want)
"""
    )


def test_without_fused_multiply_add_the_plain_layers_runs():
    in_a_process(
        """
from npformer import errors
import llvmlite.binding as llvm
features = llvm.get_host_cpu_features()
features["fma"] = False
llvm.get_host_cpu_features = lambda: features
engine.machine_code.platform.machine = lambda: "x86_64"
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    run = engine.make_forward(p, c)
assert len(caught) == 1 and "no fused multiply-add" in str(caught[0].message), caught
np.testing.assert_array_equal(run(x).logits, want)
try:
    engine.make_forward(p, c, "numba")
except errors.ConfigError as error:
    assert "no fused multiply-add" in str(error)
else:
    raise AssertionError("not refused")
"""
    )


PRINT = """
from npformer.engine.quantize import quantize
for params in (p, quantize(p, c)):
    print(engine.make_forward(params, c, "numba")(x).logits.tobytes().hex())
"""


def test_every_process_gets_the_same_bits():
    one, two = (in_a_process(PRINT, NPFORMER_NUM_THREADS=n).stdout for n in "12")
    assert one == two


@pytest.fixture(scope="module")
def narrow_code(tmp_path_factory):
    """A cache in which the code for narrow vectors stays from one network to the next."""
    return tmp_path_factory.mktemp("narrow")


@pytest.mark.skipif(
    not machine_code._features().get("avx512f"), reason="this processor has no AVX-512"
)
@pytest.mark.parametrize("case", TWO)
def test_processors_with_narrow_and_with_wide_vectors_get_the_same_bits(case, narrow_code):
    network = f"c = config(**CASES[{case!r}]); p = network(c)\n"
    narrow = """
import llvmlite.binding as llvm
features = llvm.get_host_cpu_features()
features.update({name: False for name in features if "avx512" in name})
llvm.get_host_cpu_features = lambda: features
"""
    found = in_a_process(narrow + network + PRINT, NPFORMER_CACHE_DIR=str(narrow_code))
    assert found.stdout == in_a_process(network + PRINT).stdout
    assert len(list(narrow_code.iterdir())) == 1


def test_a_notebook(tmp_path, monkeypatch):
    """Compiling there and all, which Numba's own cache could not do."""
    for extra in ("nbclient", "nbformat", "ipykernel"):
        pytest.importorskip(extra)
    from nbclient import NotebookClient
    from nbformat.v4 import new_code_cell, new_notebook

    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    monkeypatch.setenv("NPFORMER_CACHE_DIR", str(tmp_path))
    strict = 'warnings.simplefilter("error")'
    cells = [PRELUDE + strict, 'run = engine.make_forward(p, c, "numba")', "check(run(x).logits)"]
    notebook = new_notebook(cells=[new_code_cell(cell) for cell in cells])
    NotebookClient(notebook, timeout=240, kernel_name="python3").execute()  # raises what they raise
    outputs = [output["text"] for cell in notebook.cells for output in cell.outputs]
    assert outputs == [COMPILING]
    assert len(list(tmp_path.iterdir())) == 1


def test_kernels_that_were_compiled_before_are_put_into_their_callers_too():
    """As a notebook does: what is compiled already must not be called from outside."""
    in_a_process(
        """
from npformer.engine import machine_code
from npformer.kernels.layout import Image, Span, whole_layer
from npformer.kernels.pooling_block import pooling_block
from npformer.kernels.vector import compiled
machine_code.entry()
usual, m = machine_code.read(), np.zeros(100, np.float32)
image, layer = Image(0, 16, 1, 1, 16), whole_layer(0, 16, 1)
compiled(pooling_block)(m, 0, image, 3, m, 0, layer, layer, 0, 0, Span(0, 0), 0)
functions = b"_ZN8npformer"  # those that are left by themselves
assert machine_code.compile_walk().count(functions) == usual.count(functions)
"""
    )


def test_code_is_made_once_and_then_needs_no_numba(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("NPFORMER_CACHE_DIR", str(tmp_path / "cache"))
    machine_code._entries.cache_clear()
    machine_code.entry()
    assert capsys.readouterr().err == COMPILING
    (file,) = (tmp_path / "cache").iterdir()
    made = file.stat().st_mtime_ns
    later = in_a_process(
        "check(engine.make_forward(p, c)(x).logits); assert 'numba' not in sys.modules",
        NPFORMER_CACHE_DIR=str(tmp_path / "cache"),
    )
    assert later.stderr == ""
    assert file.stat().st_mtime_ns == made


def test_without_numba_training_runs_on_the_plain_layers():
    """Though the machine code may be there."""
    in_a_process(
        """
from npformer.errors import ConfigError
sys.modules["numba"] = None
with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    learn = engine.make_gradients(p, c)
assert "Numba is missing" in str(said[0].message)
assert type(learn).__name__ == "PlainGradients"
try:
    engine.make_gradients(p, c, "numba")
except ConfigError as error:
    assert "Numba is missing" in str(error)
else:
    raise AssertionError("not refused")
"""
    )


def test_importing_the_engine_imports_no_compiler():
    in_a_process("assert 'numba' not in sys.modules and 'llvmlite' not in sys.modules")


def set_modes(place, file, directory):
    for path in [*place.rglob("*"), place]:
        path.chmod(directory if path.is_dir() else file)


@pytest.fixture(scope="module")
def read_only(tmp_path_factory):
    """An installation with its weights, that nobody may write to."""
    place = tmp_path_factory.mktemp("installed") / "npformer"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(Path(npformer.__file__).parent, place, ignore=ignored)
    shutil.copytree(find("tiny"), place / "weights" / "tiny", dirs_exist_ok=True)
    shutil.copy(shipped("manifest.json"), place / "weights")
    set_modes(place, 0o444, 0o555)
    yield place
    set_modes(place, 0o644, 0o755)


READ_ONLY = """
import ctypes, npformer, tempfile
if os.getuid() == 0:  # root gives up what lets it write anywhere
    version, no_capabilities = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    assert ctypes.CDLL(None).capset(version, no_capabilities) == 0
def can_write(folder):
    try:
        tempfile.TemporaryFile(dir=folder).close()
    except PermissionError:
        return False
    return True
assert os.path.dirname(npformer.__file__) == package and not can_write(package)
assert can_write(engine.code_file.cache_directory()) == keeps
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    for name in ("numba", "auto"):
        (best, *_) = npformer.load("tiny", engine=name).classify(photograph)
        assert best.label == label and abs(best.score - score) < 1e-4
said = [str(warning.message) for warning in caught]
assert len(said) == (0 if keeps else 1), said
assert all("cannot keep its compiled kernels" in text for text in said), said
"""


@pytest.mark.case(95)
@pytest.mark.skipif(
    sys.platform != "linux" and getattr(os, "getuid", lambda: 0)() == 0,
    reason="this user cannot give up the right to write anywhere",
)
@pytest.mark.parametrize("keeps", [True, False])
def test_a_read_only_installation(read_only, tmp_path, monkeypatch, keeps):
    """Runs the kernels; their code goes into the user's directory, if that can be written to."""
    cache, elsewhere = tmp_path / "cache", tmp_path / "elsewhere"
    cache.mkdir(mode=0o700 if keeps else 0o500)
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)  # a process looks for packages where it stands, first of all
    done = in_a_process(
        f"package, photograph, keeps = {str(read_only)!r}, {str(COFFEE)!r}, {keeps}\n"
        f"label, score = {COFFEE_IS!r}, {first_score('coffee.png')}" + READ_ONLY,
        NPFORMER_CACHE_DIR=str(cache),
        PYTHONPATH=os.pathsep.join([str(read_only.parent), *sys.path]),
    )
    assert done.stderr == COMPILING
    assert len(list(cache.iterdir())) == keeps


def test_kernels_stay_inside_their_memory(tmp_path):
    """Once with every load and store checked; and a memory that is too small is seen."""
    in_a_process(
        """
from npformer.learn.objectives import classification_loss
from npformer.layers import training
from npformer.network import gradients
check(engine.make_forward(p, c, "numba")(x).logits)
engine.set_num_threads(1)  # others would wait for one that fails
rng, loss = np.random.default_rng(0), lambda logits: classification_loss(logits, np.arange(3), 0.1)
found = engine.make_gradients(p, c, "numba")(x, p, loss, rng)
assert abs(found.loss - gradients(x, p, c, loss, training(rng)).loss) < 1e-5
run = engine.make_forward(p, c, "numba")
run(x)
(plan,) = run.fast._plans.values()
arena = plan.borrow(1)
arena.memory = arena.memory[: plan.size // 2]
plan.give_back(arena)
try:
    run(x)
except IndexError as error:
    assert "outside of its memory" in str(error)
else:
    raise AssertionError("not seen")
""",
        NPFORMER_BOUNDSCHECK="1",
        NPFORMER_CACHE_DIR=str(tmp_path),
    )


@pytest.mark.case(51)
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_does_not_grow_with_the_batch():
    in_a_process(
        """
def peak():
    for line in open("/proc/self/status"):
        if line.startswith("VmHWM"): return int(line.split()[1])
c = EfficientFormerConfig.variant("l1"); p = network(c)
run = engine.make_forward(p, c, "numba")
engine.set_num_threads(2)
big = np.ones((16, 224, 224, 3), np.float32)
run(big[:8])  # each thread has taken its memory
before = peak()
run(big)
assert peak() - before < 3000, peak() - before
"""
    )
