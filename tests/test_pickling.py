"""Models travel: pickled, copied, sent to other processes, they give the same bits there.

A pickled model is its parameters and settings. Machine code, packed weights, plans and memory stay.
"""

from __future__ import annotations

import copy
import io
import multiprocessing
import pickle
import pickletools
from functools import cache
from typing import Any

import numpy as np
import pytest
from engine_cases import config, images, in_a_process, network
from readme import ROOT

import npformer
from npformer import engine, errors
from npformer.hf.outputs import ModelOutput
from npformer.layers import LayerNorm, Trace, training
from npformer.network import Logits
from npformer.network.tree import leaves

COFFEE = ROOT / "notebooks/images/coffee.png"
PIXELS = images(2).transpose(0, 3, 1, 2)
PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)
ENGINES = ("numpy", "numba", "auto")


def backbone(*args: Any, **options: Any) -> npformer.EfficientFormerBackbone:
    """One whose maps, norms and trained norm differ from those of a fresh one."""
    made = npformer.EfficientFormerBackbone(
        *args, out_features=["stem", "stage4"], normalize=True, **options
    )
    made.norms["stem"] = LayerNorm(np.full(12, 0.5, np.float32), np.full(12, 2.0, np.float32))
    return made


def classifier(*args: Any, **options: Any) -> npformer.Classifier:
    model = npformer.EfficientFormerForImageClassificationWithTeacher(*args, **options)
    settings = {"size": 72, "crop_size": 64, "crop_rounding": "torchvision", "of_a_file": 1}
    return npformer.Classifier(model, npformer.EfficientFormerImageProcessor(**settings))


KINDS = {
    "model": npformer.EfficientFormerModel,
    "one head": npformer.EfficientFormerForImageClassification,
    "two heads": npformer.EfficientFormerForImageClassificationWithTeacher,
    "backbone": backbone,
    "classifier": classifier,
}


def made(kind: str, engine: str = "numpy", used: bool = False) -> Any:
    model = KINDS[kind](config(layer_norm_eps=1e-3), network(config()), engine=engine)
    if used:
        answers(model)
    return model


def answers(model: Any) -> dict[str, Any]:
    """Everything that a model answers; arrays are compared by their bits."""
    if isinstance(model, npformer.Classifier):
        trace = model.trace(COFFEE, "stem", "head")
        return {**trace, **dict(enumerate(model.forward(PIXELS))), "": model.classify(COFFEE)}
    return arrays(model(PIXELS, output_hidden_states=True, output_attentions=True))


def arrays(outputs: ModelOutput) -> dict[str, Any]:
    """The arrays in an output."""
    return {
        f"{name}.{i}": array
        for name, value in outputs.items()
        for i, array in enumerate(value if isinstance(value, tuple) else [value])
    }


def check_equal(found: dict[str, Any], expected: dict[str, Any]) -> None:
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value, err_msg=str(name))


def check_arrived(there: Any, here: Any, expected: dict[str, Any]) -> None:
    """A copy that shares nothing, has the same parameters, read-only, and gives the same bits."""
    assert type(there) is type(here)
    assert there.config == here.config
    assert there.config is not here.config
    for (path, found), (_, array) in zip(leaves(there.params), leaves(here.params), strict=True):
        np.testing.assert_array_equal(found, array, err_msg=path)
        assert not found.flags.writeable, path
        assert not np.shares_memory(found, array), path
    model = getattr(there, "model", there)
    assert model.network.params is model.params, "or there would be two copies"
    assert model.network.config is model.config
    assert repr(there) == repr(here)
    check_equal(answers(there), expected)


@pytest.mark.parametrize("used", [False, True], ids=["fresh", "used"])
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("kind", KINDS)
def test_every_class_by_every_protocol(kind, engine, used):
    model = made(kind, engine, used)
    sent = [pickle.dumps(model, protocol) for protocol in PROTOCOLS]
    expected = answers(model)
    for data in sent:
        check_arrived(pickle.loads(data), model, expected)


@pytest.mark.parametrize("kind", KINDS)
def test_float64_and_the_buffers_of_others(kind):
    """As Dask and Ray do it: the arrays apart from the rest, and not copied when they arrive."""
    model = KINDS[kind](config(), network(config(), dtype="float64"), engine="auto")
    buffers: list[pickle.PickleBuffer] = []
    data = pickle.dumps(model, 5, buffer_callback=buffers.append)
    received = [bytearray(buffer) for buffer in buffers]
    check_arrived(pickle.loads(data, buffers=received), model, answers(model))


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("kind", KINDS)
def test_copies(kind, engine):
    model = made(kind, engine, used=True)
    check_arrived(copy.deepcopy(model), model, answers(model))
    shallow = copy.copy(model)
    assert vars(shallow) == vars(model), "a shallow copy shares everything"
    check_equal(answers(shallow), answers(model))
    run = getattr(model, "model", model).network
    assert copy.copy(run) is run


def test_a_copy_leaves_the_arrays_of_others_as_they_are():
    params = network(config())
    model = npformer.EfficientFormerModel(config(), params, engine="numpy")
    copy.copy(model), copy.deepcopy(model), pickle.dumps(model)
    assert all(array.flags.writeable for _, array in leaves(params))


@pytest.mark.parametrize("module", ["joblib", "cloudpickle", "dask"])
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("kind", KINDS)
def test_other_programs(kind, engine, module):
    program = pytest.importorskip(module)
    model = made(kind, engine, used=True)
    if module == "joblib":
        file = io.BytesIO()
        program.dump(model, file)
        file.seek(0)
        there = program.load(file)
    elif module == "cloudpickle":
        there = pickle.loads(program.dumps(model))
    else:
        there = program.delayed(pickle.loads)(program.delayed(pickle.dumps)(model)).compute()
    check_arrived(there, model, answers(model))


def test_joblib_maps_a_file_into_memory(tmp_path):
    joblib = pytest.importorskip("joblib")
    model = made("two heads", "auto")
    joblib.dump(model, tmp_path / "model")
    check_arrived(joblib.load(tmp_path / "model", mmap_mode="r"), model, answers(model))


def test_joblib_and_dask_run_a_model_in_other_processes():
    model = made("two heads", "auto", used=True)
    expected = answers(model)
    joblib, dask = (pytest.importorskip(name) for name in ("joblib", "dask"))
    for found in joblib.Parallel(n_jobs=2)(joblib.delayed(answers)(model) for _ in range(2)):
        check_equal(found, expected)
    (found,) = dask.compute(dask.delayed(answers)(model), scheduler="processes", num_workers=1)
    check_equal(found, expected)


# Sizes


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("kind", KINDS)
def test_use_adds_nothing(kind, engine):
    model = made(kind, engine)
    fresh = pickle.dumps(model)
    answers(model)
    assert pickle.dumps(model) == fresh


@cache
def tiny(engine: str) -> npformer.Classifier:
    return npformer.load(ROOT / "weights/tiny", engine=engine)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_pickled_tiny_is_as_large_as_its_parameters(engine):
    model = tiny(engine)
    model.classify(COFFEE)
    parameters = sum(array.nbytes for _, array in leaves(model.params))
    assert parameters > 16e6
    for travels in (model, model.model, model.model.network):
        assert parameters < len(pickle.dumps(travels)) < 1.01 * parameters


def test_only_classes_for_parameters_and_settings_are_in_the_bytes():
    data = pickle.dumps(made("classifier", "numba", used=True), 2)
    named = {arg for code, arg, _ in pickletools.genops(data) if code.name == "GLOBAL"}
    ours = {name for name in named if name.startswith("npformer")}
    assert {name for name in ours if "engine" in name} == {"npformer.engine.choose _make_again"}
    assert not [name for name in named if "ctypes" in name or "thread" in name]


# Other processes


@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
@pytest.mark.parametrize("engine", ENGINES)
def test_pools(method, engine):
    """In a process of its own: fork copies the threads of tests that ran before."""
    in_a_process(
        f"""
import multiprocessing
from test_pickling import answers, check_equal, made
if __name__ == "__main__":
    warnings.simplefilter("ignore", DeprecationWarning)  # of fork in a process with threads
    for kind in ("two heads", "classifier"):
        model = made(kind, {engine!r}, used=True)
        with multiprocessing.get_context({method!r}).Pool(2) as pool:
            for found in pool.map(answers, [model] * 3):
                check_equal(found, answers(model))
            call = model.classify if kind == "classifier" else model
            image = x[0].astype("u1") if kind == "classifier" else x.transpose(0, 3, 1, 2)
            (found,) = pool.map(call, [image])  # a bound method, or the model itself
            assert repr(found) == repr(call(image))
"""
    )


def test_where_the_kernels_do_not_work_the_rules_are_those_of_construction():
    """With "auto" the plain layers run, with a warning; "numba" is refused."""
    in_a_process(
        """
import pickle
from npformer import EfficientFormerModel
from npformer.engine import choose
from npformer.errors import ConfigError
sent = {name: pickle.dumps(EfficientFormerModel(c, p, engine=name)) for name in engine.ENGINES}
choose.machine_code.unavailable_reason = lambda: "this is a test"
choose._unavailable_reason.cache_clear()
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    arrived = pickle.loads(sent["auto"])
assert len(caught) == 1 and "this is a test" in str(caught[0].message), caught
plain = pickle.loads(sent["numpy"])
pixels = x.transpose(0, 3, 1, 2)
np.testing.assert_array_equal(arrived(pixels)[0], plain(pixels)[0])
assert arrived.engine == "auto" and arrived.network.fast is None
try:
    pickle.loads(sent["numba"])
except ConfigError as error:
    assert "this is a test; use engine='numpy'" in str(error)
else:
    raise AssertionError("no error")
"""
    )


# What models return


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("kind", [kind for kind in vars(errors).values() if isinstance(kind, type)])
def test_errors(kind, protocol):
    error = kind("a: found b; expected c")
    error.add_note("a note")
    there = pickle.loads(pickle.dumps(error, protocol))
    assert type(there) is kind
    assert (str(there), there.args, there.__notes__) == (str(error), error.args, ["a note"])


def test_an_error_in_a_pool_arrives_as_it_was(tmp_path):
    with (
        multiprocessing.get_context("spawn").Pool(1) as pool,
        pytest.raises(npformer.MissingWeights, match="no such file or folder"),
    ):
        pool.map(npformer.load, [str(tmp_path / "nothing")])


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_results(protocol):
    def sent(thing: Any) -> Any:
        return pickle.loads(pickle.dumps(thing, protocol))

    model = made("classifier")
    answer = model.classify(COFFEE)
    assert (type(sent(answer)), sent(answer)) == (npformer.Predictions, answer)
    assert repr(sent(answer)) == repr(answer)
    trace = model.trace(COFFEE, "stem*")
    check_equal(dict(sent(trace)), dict(trace))
    assert sent(trace)._repr_html_() == trace._repr_html_()
    part = trace.within("stem")
    assert sent(part)["conv1"].tobytes() == trace["stem.conv1"].tobytes()
    noisy = sent(Trace("a", mode=training(np.random.default_rng(3), 0.5)))
    assert noisy.mode.rng.random() == np.random.default_rng(3).random()
    for kind in ("model", "one head", "two heads", "backbone"):
        outputs = made(kind)(PIXELS)
        there = sent(outputs)
        assert type(there) is type(outputs)
        assert repr(there) == repr(outputs)
        check_equal(arrays(there), arrays(outputs))
    batch = model.processor(COFFEE, return_tensors="np")
    np.testing.assert_array_equal(sent(batch).pixel_values, batch.pixel_values)
    assert sent(model.summary()) == model.summary()


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_an_explanation(protocol):
    here = npformer.explain(COFFEE, made("classifier"))
    there = pickle.loads(pickle.dumps(here, protocol))
    check_arrived(there.classifier, here.classifier, answers(here.classifier))
    assert (there.name, there.predictions, there.token) == (here.name, here.predictions, here.token)
    check_equal(there.maps, here.maps)
    np.testing.assert_array_equal(there.attention, here.attention)
    np.testing.assert_array_equal(there.cams, here.cams)


def test_the_network_itself():
    """What `make_forward` returns, without a model around it."""
    x = images(2)
    for name in engine.ENGINES:
        run = engine.make_forward(network(config()), config(), name)
        for there in (pickle.loads(pickle.dumps(run)), copy.deepcopy(run)):
            assert there.engine == name
            assert (there.fast is None) == (run.fast is None)
            np.testing.assert_array_equal(there(x).logits, run(x).logits)
            keep = Trace("stem.conv1", "stages.3.blocks.2.token_mixer.attn")
            if name != "numba":
                there(x, keep)
                assert list(keep) == ["stem.conv1", "stages.3.blocks.2.token_mixer.attn"]


@pytest.mark.parametrize("used", [False, True], ids=["fresh", "used"])
@pytest.mark.parametrize("name", engine.ENGINES)
def test_gradients(name, used):
    """What `make_gradients` returns: settings without plans and memory, and the same bits."""
    c, p, x = config(), network(config()), images(2)
    run = engine.make_gradients(p, c, name, drop_path=0.5)

    def loss(logits):
        return float(logits.logits.sum()), Logits(*map(np.ones_like, logits))

    def computed(run):
        found = run(x, p, loss, np.random.default_rng(0))
        return {"loss": np.array(found[0]), **dict(leaves(found[2]))}

    if used:
        computed(run)
    data = [pickle.dumps(run, protocol) for protocol in PROTOCOLS]
    assert max(map(len, data)) < 5_000, "settings only"
    expected = computed(run)
    for there in (*map(pickle.loads, data), copy.deepcopy(run), copy.copy(run)):
        check_equal(computed(there), expected)
