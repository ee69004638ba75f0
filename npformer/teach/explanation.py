"""What the network made of one photograph, and the page that shows it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .. import display
from ..classification import Classifier, Predictions
from ..errors import ConfigError
from ..files.atomic import replacing
from ..files.paths import as_path
from ..images.layout import channels_first
from ..images.settings import IMAGENET_MEAN, IMAGENET_STD
from ..layers import Array
from ..network import stage_sizes
from . import page, plots
from .page import Part

if TYPE_CHECKING:
    from matplotlib.figure import Figure, SubFigure

HTML = (".html", ".htm")
PICTURES = (".png", ".svg", ".pdf", ".jpg")

SCALE = 8
"""Pixels along the side of a token in the picture that shows attention under the mouse."""


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
        return page.figure(self.title, parts(self))

    def to_html(self) -> str:
        """Return the page as one HTML document, which needs no other file and no connection.

        Raises
        ------
        MissingPackage
            If matplotlib is not installed.
        """
        return page.document(self.title, self._repr_html_())

    def save(self, path: str | PathLike[str]) -> Path:
        """Write the page to a file, as HTML or as a picture; it appears whole or not at all.

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
            If it has another suffix, or is an address (a ConfigError).
        MissingPackage
            If matplotlib is not installed.
        OSError
            If the file cannot be written.
        """
        path = as_path(path, "the path of the page", ConfigError)
        check_suffix(path)
        if path.suffix.lower() in HTML:
            data = self.to_html().encode()
        else:
            picture = BytesIO()
            self.figure().savefig(picture, dpi=110, format=path.suffix[1:].lower())
            data = picture.getvalue()
        with replacing(path) as temporary:
            temporary.write_bytes(data)
        return path

    def _repr_html_(self) -> str:
        return page.article(self.title, parts(self))


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


def parts(explanation: Explanation) -> Iterator[Part]:
    """Yield the parts of the page, from the top."""
    yield _answer(explanation)
    yield _stages(explanation)
    if explanation.attention is not None:
        yield _attention(explanation, explanation.attention)
    yield _evidence(explanation)


def _answer(explanation: Explanation) -> Part:
    _, H, W = explanation.pixel_values.shape
    count = len(explanation.classifier.labels)

    def draw(figure: Figure | SubFigure) -> None:
        left, right = figure.subplots(1, 2, width_ratios=[1, 2])
        plots.photograph(_photograph(explanation), ax=left)
        plots.predictions(explanation.predictions, ax=right)

    return Part(
        "The photograph, and the answer",
        f"This is all the network sees: the photograph, resized and cropped to {H}×{W} pixels. The "
        f"network knows {count} classes and divides 100 % among them; these got the most.",
        3.0,
        draw,
    )


def _stages(explanation: Explanation) -> Part:
    def draw(figure: Figure | SubFigure) -> None:
        maps = explanation.maps
        for ax, (name, array) in zip(figure.subplots(1, len(maps)), maps.items(), strict=True):
            rows, columns, C = array.shape
            title = f"{name}\n{rows}×{columns}, {C} channels"
            plots.feature_maps(array, count=16, columns=4, title=title, ax=ax)

    return Part(
        "What the stem and each stage make of it",
        "Each small picture is one channel. It is bright where the channel found what it has "
        "learned to look for. The first channels find edges and colors and are as sharp as a "
        "drawing; the last are coarse and tell what is there. Sixteen channels of each stage are "
        "shown, under the names that a trace gives them (stages count from 0).",
        2.4,
        draw,
    )


def _attention(explanation: Explanation, attn: Array) -> Part:
    grid = _grid(explanation)
    heads = [None, *range(len(attn))]
    lines = -(-len(heads) // 5)

    def draw(figure: Figure | SubFigure) -> None:
        places = figure.subplots(lines, 5).ravel()
        for ax in places[len(heads) :]:
            ax.set_axis_off()
        for ax, head in zip(places, heads, strict=False):
            plots.attention(_photograph(explanation), attn, explanation.token, grid, head, ax=ax)
            ax.set_title("all heads" if head is None else f"head {head}", fontsize=10)

    row, column = explanation.token
    return Part(
        f"Where the token in row {row}, column {column} looks",
        f"In the last stage the picture is a grid of {grid[0]}×{grid[1]} places, called tokens. In "
        "an attention block each token, such as the framed one, takes in something from every "
        "other token, most from where the color is bright. It does so in several ways at once, "
        "called heads. This is the last attention block. Point at a place in the first picture to "
        "see where its token looks.",
        2.2 * lines,
        draw,
        _picker(explanation, attn),
    )


def _evidence(explanation: Explanation) -> Part:
    cams = explanation.cams

    def draw(figure: Figure | SubFigure) -> None:
        places = figure.subplots(1, max(len(cams), 3))
        for ax in places[len(cams) :]:
            ax.set_axis_off()
        for ax, answer, cam in zip(places, explanation.predictions, cams, strict=False):
            title = f"{answer.label}, {answer.score:.1%}"
            plots.heatmap(_photograph(explanation), cam, title, ax=ax)

    return Part(
        "Which places speak for which class",
        "Grad-CAM: the gradient of a class's score tells which channels of the last stage speak "
        "for the class, and the picture is bright where these channels are strong. Each picture "
        "uses the full range of colors, however small the score.",
        3.0,
        draw,
    )


def _picker(explanation: Explanation, attn: Array) -> str:
    """Write the photograph with a field for each token, which shows where that token looks."""
    from matplotlib import colormaps

    rows, columns = _grid(explanation)
    fields = []
    for i, looks in enumerate(attn.mean(0)):  # (N,)
        strength = plots.to_unit_range(looks.reshape(rows, columns))
        strength = plots.upsample(strength, SCALE * rows, SCALE * columns)
        overlay = colormaps["inferno"](strength)  # (SCALE·rows, SCALE·columns, 4)
        overlay[..., 3] = 0.25 + 0.5 * strength
        row, column = divmod(i, columns)
        chosen = " class='chosen'" if (row, column) == explanation.token else ""
        fields.append(
            f"<i tabindex='0'{chosen} title='token ({row}, {column})'>{display.image(overlay)}</i>"
        )
    gray = plots.denormalize(_photograph(explanation)).mean(-1)
    shape = f"grid-template: repeat({rows}, 1fr) / repeat({columns}, 1fr)"
    return (
        f"<div class='picker'>{display.image(gray, 'the photograph in gray')}"
        f"<div class='fields' style='{shape}'>{''.join(fields)}</div></div>\n"
    )


def _photograph(explanation: Explanation) -> Array:
    """Return the pixel values as `plots` expects them, whatever normalization the network has."""
    processor = explanation.classifier.processor
    normalized = processor.do_normalize
    mean, std = (processor.image_mean, processor.image_std) if normalized else ([0], [1])
    shown = plots.denormalize(explanation.pixel_values, mean, std)  # (H, W, 3)
    return channels_first((shown - np.array(IMAGENET_MEAN)) / np.array(IMAGENET_STD))


def _grid(explanation: Explanation) -> tuple[int, int]:
    """Return the rows and columns of the tokens."""
    _, H, W = explanation.pixel_values.shape
    return stage_sizes(H, W, explanation.classifier.config)[-1]
