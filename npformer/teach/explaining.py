"""Explain one photograph: what the network sees in it, and why it answers as it does.

An `Explanation` holds the photograph as it enters the network, what the stem and each stage make of
it, where a token looks, and, for the likeliest classes, which places speak for them (Grad-CAM,
Selvaraju et al. 2017). All arrays come from the plain layers. It shows itself as a page, see
`npformer.teach.page`; as HTML that is a single file, pictures included.
"""

from __future__ import annotations

from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import classification
from ..classification import Classifier, Image, Predictions
from ..layers import Array, Trace
from ..network.model import forward, stage_sizes
from . import page, saliency

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HTML = (".html", ".htm")
PICTURES = (".png", ".svg", ".pdf", ".jpg")


@dataclass(frozen=True, repr=False)
class Explanation:
    """What the network made of one photograph. A notebook shows it as a page."""

    name: str
    """name of the photograph"""
    classifier: Classifier
    pixel_values: Array
    """(3, H, W), what the network sees"""
    predictions: Predictions
    """the likeliest classes"""
    maps: dict[str, Array]
    """(rows, columns, C) for ``stem`` and each stage"""
    attention: Array | None
    """(heads, N, N) of the last attention block; None for a network without attention blocks"""
    token: tuple[int, int]
    """row and column of the token whose attention is shown"""
    cams: tuple[Array, ...]
    """(rows, columns) for each of the likeliest classes: how strongly each place speaks for it"""

    def __repr__(self) -> str:
        return f"<npformer.Explanation of {self.name}: {self.predictions[0].label}>"

    @property
    def title(self) -> str:
        """The name of the photograph and the best answer."""
        best = self.predictions[0]
        return f"{self.name}: {best.label}, {best.score:.1%}"

    def figure(self) -> Figure:
        """Return the page as one matplotlib figure.

        Raises
        ------
        MissingPackage
            If matplotlib is not installed.
        """
        return page.figure(self.title, page.parts(self))

    def to_html(self) -> str:
        """Return the page as one HTML document, which needs no other file and no connection.

        Raises
        ------
        MissingPackage
            If matplotlib is not installed.
        """
        return page.document(self.title, self._repr_html_())

    def save(self, path: str | PathLike[str]) -> Path:
        """Write the page to a file, as HTML or as a picture.

        Parameters
        ----------
        path : str or path
            Its suffix says what to write: ``.html``, ``.png``, ``.svg``, ``.pdf`` or ``.jpg``.

        Returns
        -------
        Path

        Raises
        ------
        ValueError
            If it has another suffix.
        MissingPackage
            If matplotlib is not installed.
        """
        path = Path(path)
        check_suffix(path)
        if path.suffix.lower() in HTML:
            path.write_text(self.to_html(), encoding="utf-8")
        else:
            self.figure().savefig(path, dpi=110)
        return path

    def _repr_html_(self) -> str:
        return page.article(self.title, page.parts(self))


def explain(
    image: Image,
    model: str | PathLike[str] | Classifier = "tiny",
    token: tuple[int, int] | None = None,
    top: int = 3,
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
        If the grid has no such token.

    Examples
    --------
    >>> npformer.explain("notebooks/images/coffee.png").save("coffee.html")  # doctest: +SKIP
    """
    if not isinstance(model, Classifier):
        model = classification.load(model, engine="numpy")
    params, config = model.params, model.config
    pixel_values = model.preprocess(image)
    x = np.moveaxis(pixel_values[None], 1, -1)  # (3, H, W) -> (1, H, W, 3)
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


def check_suffix(path: Path) -> None:
    """Refuse a path whose suffix does not say what to write.

    Raises
    ------
    ValueError
        If it is neither that of HTML nor that of a picture.
    """
    if path.suffix.lower() not in HTML + PICTURES:
        raise ValueError(
            f"{path}: the name does not say what to write; expected it to end in "
            f"{', '.join(HTML + PICTURES)}"
        )


def _name(image: Any) -> str:
    return Path(image).name if isinstance(image, (str, PathLike)) else "the photograph"
