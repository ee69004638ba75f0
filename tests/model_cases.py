"""npformer's side of the comparison with the classes of transformers."""

from __future__ import annotations

from typing import Any

import numpy as np
from golden import cases
from golden.modeling import TEACHER, images

import npformer
from npformer.layers import Array


def network(
    case: dict[str, Any], kind: str, seed: int = 0, dtype: str = "float64", engine: str = "numpy"
) -> Any:
    """A network of a class, with parameters from `cases.draw`."""
    case = case | {"distilled": kind == TEACHER}
    params = cases.parameters(case, seed, dtype)
    return getattr(npformer, kind)(cases.configuration(case), params, engine=engine)


def run(model: Any, case: dict[str, Any], seed: int = 0, **options: Any) -> Any:
    """Call it."""
    return model(images(case, seed), **options)


def difference(found: dict[str, Array], expected: dict[str, Array]) -> float:
    """Largest difference of any number; the same arrays of the same shapes have to be there."""
    shapes = {key: array.shape for key, array in found.items()}
    assert shapes == {key: array.shape for key, array in expected.items()}
    return max(float(np.abs(found[key] - expected[key]).max()) for key in found)
