"""Explain one photograph: what the network sees in it, and why it answers as it does.

The `Explanation` holds the photograph as it enters the network, what the stem and each stage make
of it, where a token looks, and, for the likeliest classes, which places speak for them (Grad-CAM,
Selvaraju et al. 2017). All arrays come from the plain layers.
"""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from .. import classification
from ..checks import at_least_one
from ..classification import Classifier, Image
from ..images.layout import channels_last
from ..layers import Trace
from ..network import forward, stage_sizes
from . import saliency
from .explanation import Explanation


def explain(
    image: Image,
    model: str | PathLike[str] | Classifier = "tiny",
    token: tuple[int, int] | None = None,
    top: int = 3,
    *,
    entry: str | None = None,
) -> Explanation:
    """Show what the network sees in a photograph and why it answers as it does.

    Parameters
    ----------
    image : path, bytes, file, PIL.Image or ndarray
    model : str, path or Classifier
        As in `load`, or what it returned.
    token : (row, column), optional
        The token whose attention is shown; by default the one that speaks most strongly for the
        answer.
    top : int
        Number of classes whose evidence is shown.
    entry : str, optional
        Which weights to read if `model` is a PyTorch file that has several, such as
        ``"model_ema"``.

    Returns
    -------
    Explanation
        A notebook shows it as a page; ``save("page.html")`` or ``save("page.png")`` writes it to a
        file.

    Raises
    ------
    ImageError, FileNotFoundError, MissingWeights, WeightsError
        As in `classify`.
    ValueError
        If the grid has no such token, or `top` is not a whole number, 1 or more.

    Examples
    --------
    >>> npformer.explain("notebooks/images/coffee.png").save("coffee.html")  # doctest: +SKIP
    """
    top = at_least_one("top", top)
    if not isinstance(model, Classifier):
        model = classification.load(model, engine="numpy", entry=entry)
    params, config = model.params, model.config
    pixel_values = model.preprocess(image)
    x = channels_last(pixel_values[None])  # (1, H, W, 3)
    tape = Trace()
    forward(x, params, config, tape)
    predictions = model.predict(pixel_values[None], max(top, 5))[0]

    _, H, W = pixel_values.shape
    sizes = stage_sizes(H, W, config)
    names = ["stem", *(f"stages.{i}" for i in range(len(sizes)))]
    maps = {
        name: tape[name].reshape(*size, -1)
        for name, size in zip(names, [sizes[0], *sizes], strict=True)
    }
    cams = tuple(
        saliency.grad_cam(answer.index, tape, params, config).reshape(sizes[-1])
        for answer in predictions[:top]
    )
    if token is None:
        row, column = np.unravel_index(int(cams[0].argmax()), cams[0].shape)
        token = int(row), int(column)
    elif not all(0 <= t < size for t, size in zip(token, sizes[-1], strict=True)):
        raise ValueError(
            f"token is {token}; expected (row, column) on the grid of "
            f"{sizes[-1][0]}×{sizes[-1][1]} tokens, counted from (0, 0)"
        )
    attentions = [array for name, array in tape.items() if name.endswith(".attn")]
    attention = attentions[-1][0] if attentions else None
    return Explanation(_name(image), model, pixel_values, predictions, maps, attention, token, cams)


def _name(image: Any) -> str:
    return Path(image).name if isinstance(image, (str, PathLike)) else "the photograph"
