"""Graphs of ONNX: read from a file, and run as they are written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ..errors import NpformerError
from ..layers import Array

Runner = Callable[[Mapping[str, Array]], "list[Any]"]
"""From what goes in to what comes out, in the order of the graph's outputs."""


def read_graph(path: Path, error: type[NpformerError]) -> Any:
    """Read a file.

    Parameters
    ----------
    path : Path
    error : type of NpformerError
        What to raise if it is no graph.

    Returns
    -------
    onnx.ModelProto

    Raises
    ------
    NpformerError
        Of the type `error`, if the file is no graph.
    OSError
        If it cannot be read.
    """
    import onnx

    try:
        model = onnx.load(str(path))
    except OSError:
        raise
    except Exception as found:  # of protobuf, whose classes differ between its versions
        raise error(
            f"{path}: is no ONNX graph ({first_line(found)}); expected what an exporter writes"
        ) from found
    if not model.graph.node:
        raise error(f"{path}: is no ONNX graph, or an empty one: it has no nodes")
    return model


def runner(model: Any, source: str, error: type[NpformerError], threads: int = 0) -> Runner:
    """Return a function that runs a model: by ONNX Runtime, or else by ONNX's own evaluator.

    Parameters
    ----------
    model : onnx.ModelProto
        It is run without ONNX Runtime's changes.
    source : str
        What messages call it.
    error : type of NpformerError
        What to raise if it cannot be run.
    threads : int
        0 for as many as there are processors.

    Returns
    -------
    callable

    Raises
    ------
    NpformerError
        Of the type `error`, here and when it is called, if the graph cannot be run.
    """
    try:
        data = model.SerializeToString()
    except Exception as found:  # protobuf holds 2 GB at most
        raise error(f"{source}: is too large to be run ({first_line(found)})") from found
    try:
        import onnxruntime
    except ModuleNotFoundError:
        from onnx.reference import ReferenceEvaluator

        return _telling(ReferenceEvaluator(model).run, f"{source}: ONNX cannot run it", error)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4  # what goes wrong is raised
    options.intra_op_num_threads = threads
    said = f"{source}: ONNX Runtime cannot run it"
    try:
        session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as found:  # ONNX Runtime's classes differ between its versions
        raise error(f"{said} ({first_line(found)})") from found
    return _telling(session.run, said, error)


def _telling(run: Callable[..., Any], said: str, error: type[NpformerError]) -> Runner:
    """Let a function raise our own error."""

    def called(feeds: Mapping[str, Array]) -> list[Array]:
        try:
            return list(run(None, dict(feeds)))
        except Exception as found:
            raise error(f"{said} ({first_line(found)})") from found

    return called


def first_line(error: Exception) -> str:
    """Return the first line of what an error says, shortened."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
