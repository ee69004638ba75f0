"""One page on one photograph: what the network sees in it, and why it answers as it does.

The page shows the photograph as it enters the network; what the stem and each stage make of it;
where a token looks; and for the likeliest classes which places speak for them (Grad-CAM, Selvaraju
et al. 2017). All arrays come from the plain code. As HTML it is a single file, pictures included.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from html import escape
from io import BytesIO
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import classification
from ..classification import Classifier, Image, Predictions
from ..display import encoded, image
from ..errors import MissingPackage
from ..layers import Array, Trace
from ..network.model import forward, stage_sizes
from ..version import __version__
from . import plots, saliency

if TYPE_CHECKING:
    from matplotlib.figure import Figure, SubFigure

HTML = (".html", ".htm")
PICTURES = (".png", ".svg", ".pdf", ".jpg")

WIDTH = 10.0
"""Inches of every picture."""

SMOOTH = 8
"""How many pixels a token's side has in the picture that one points at."""


@dataclass(frozen=True, repr=False)
class Explanation:
    """What the network made of one photograph. Shows itself as a page in a notebook."""

    name: str
    """what the photograph is called"""
    classifier: Classifier
    pixel_values: Array
    """(3, H, W): what the network sees"""
    predictions: Predictions
    """the likeliest classes"""
    maps: dict[str, Array]
    """(rows, columns, C) for ``stem`` and each stage"""
    attention: Array | None
    """(heads, N, N) of the last attention block; None if the network has none"""
    token: tuple[int, int]
    """row and column of the token whose attention is shown"""
    cams: tuple[Array, ...]
    """(rows, columns) for each of the likeliest classes: how much each place speaks for it"""

    def __repr__(self) -> str:
        return f"<npformer.Explanation of {self.name}: {self.predictions[0].label}>"

    def figure(self) -> Figure:
        """Return the whole page as one matplotlib figure."""
        parts = list(self._parts())
        heights = [part.height + 0.3 for part in parts]
        page = _figure(sum(heights) + 0.4)
        page.suptitle(self._title, fontsize=14, fontweight="bold")
        places: Any = page.subfigures(len(parts), 1, height_ratios=heights)
        for part, place in zip(parts, places, strict=True):
            place.suptitle(part.heading, fontsize=11, x=0.01, ha="left")
            part.draw(place)
        return page

    def to_html(self) -> str:
        """Return the page as one HTML document, which needs no other file and no connection."""
        title = escape(self._title)
        return (
            f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
            f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            f'<link rel="icon" href="data:,">\n<title>{title}</title>\n'
            f"<style>:root {{ color-scheme: light dark; }}</style>\n</head>\n"
            f"<body>\n{self._repr_html_()}\n</body>\n</html>\n"
        )

    def save(self, path: str | PathLike[str]) -> Path:
        """Write the page to a file: HTML or a picture, as its name says.

        Parameters
        ----------
        path : str or path
            Ends in ``.html``, ``.png``, ``.svg``, ``.pdf`` or ``.jpg``.

        Returns
        -------
        Path

        Raises
        ------
        ValueError
            If it ends otherwise.
        MissingPackage
            If matplotlib is not installed.
        """
        path = Path(path)
        check_ending(path)
        if path.suffix.lower() in HTML:
            path.write_text(self.to_html(), encoding="utf-8")
        else:
            self.figure().savefig(path, dpi=110)
        return path

    def _repr_html_(self) -> str:
        sections = []
        for part in self._parts():
            figure = _figure(part.height)
            part.draw(figure)
            sections.append(
                f"<section>\n<h2>{escape(part.heading)}</h2>\n<p>{escape(part.text)}</p>\n"
                f"{part.html}<div class='wide'>{_picture(figure, part.heading)}</div>\n</section>"
            )
        body = "\n".join(sections)
        return (
            f"<article class='npformer-page'>\n<style>{STYLE}</style>\n"
            f"<h1>{escape(self._title)}</h1>\n{body}\n"
            f"<footer>Made by npformer {__version__}.</footer>\n</article>"
        )

    @property
    def _title(self) -> str:
        best = self.predictions[0]
        return f"{self.name}: {best.label}, {best.score:.1%}"

    def _parts(self) -> Iterator[Part]:
        yield self._answer()
        yield self._stages()
        if self.attention is not None:
            yield self._attention(self.attention)
        yield self._evidence()

    def _answer(self) -> Part:
        _, H, W = self.pixel_values.shape
        count = len(self.classifier.labels)

        def draw(figure: Figure | SubFigure) -> None:
            left, right = figure.subplots(1, 2, width_ratios=[1, 2])
            plots.photograph(self._photograph, ax=left)
            plots.predictions(self.predictions, ax=right)

        return Part(
            "The photograph, and the answer",
            f"This is all that the network sees: the photograph, resized and cut to {H}×{W} "
            f"pixels. It knows {count} classes and shares 100 % among them; these got most.",
            3.0,
            draw,
        )

    def _stages(self) -> Part:
        def draw(figure: Figure | SubFigure) -> None:
            for ax, (name, maps) in zip(
                figure.subplots(1, len(self.maps)), self.maps.items(), strict=True
            ):
                rows, columns, C = maps.shape
                title = f"{name}\n{rows}×{columns}, {C} channels"
                plots.feature_maps(maps, count=16, columns=4, title=title, ax=ax)

        return Part(
            "What the stem and each stage make of it",
            "Each small picture is one channel: bright where it found what training made it look "
            "for. The first find edges and colors and are as sharp as a drawing; the last are "
            "coarse, and tell what is there. Sixteen channels of each are shown, under the names "
            "that a trace gives them (stages count from 0).",
            2.4,
            draw,
        )

    def _attention(self, attn: Array) -> Part:
        grid = self._grid
        heads = [None, *range(len(attn))]
        lines = -(-len(heads) // 5)

        def draw(figure: Figure | SubFigure) -> None:
            places = figure.subplots(lines, 5).ravel()
            for ax in places[len(heads) :]:
                ax.set_axis_off()
            for ax, head in zip(places, heads, strict=False):
                plots.attention(self._photograph, attn, self.token, grid, head, ax=ax)
                ax.set_title("all heads" if head is None else f"head {head}", fontsize=10)

        row, column = self.token
        return Part(
            f"Where the token in row {row}, column {column} looks",
            f"In the last stage the picture is a grid of {grid[0]}×{grid[1]} places, called "
            "tokens. In an attention block each token, such as the framed one, takes over "
            "something from every other: much where the color is bright. It does so in several "
            "ways at once, its heads. This is the last such block. Point at a place in the first "
            "picture to see where its token looks.",
            2.2 * lines,
            draw,
            self._picker(attn),
        )

    def _evidence(self) -> Part:
        def draw(figure: Figure | SubFigure) -> None:
            columns = max(len(self.cams), 3)
            places = figure.subplots(1, columns)
            for ax in places[len(self.cams) :]:
                ax.set_axis_off()
            for ax, answer, cam in zip(places, self.predictions, self.cams, strict=False):
                title = f"{answer.label}, {answer.score:.1%}"
                plots.heatmap(self._photograph, cam, title, ax=ax)

        return Part(
            "Which places speak for which class",
            "Grad-CAM: the gradient of a class's score says which channels of the last stage speak "
            "for it; the picture is bright where these channels are strong. Each picture uses the "
            "whole range of colors for itself, however small the score.",
            3.0,
            draw,
        )

    def _picker(self, attn: Array) -> str:
        """Write the photograph with a field for each token, which shows where that token looks."""
        from matplotlib import colormaps

        rows, columns = self._grid
        fields = []
        for i, looks in enumerate(attn.mean(0)):  # (N,)
            strength = plots.to_unit_range(looks.reshape(rows, columns))
            strength = plots.upsample(strength, SMOOTH * rows, SMOOTH * columns)
            overlay = colormaps["inferno"](strength)  # (SMOOTH·rows, SMOOTH·columns, 4)
            overlay[..., 3] = 0.25 + 0.5 * strength
            here = divmod(i, columns)
            chosen = " class='chosen'" if here == self.token else ""
            fields.append(
                f"<i tabindex='0'{chosen} title='token ({here[0]}, {here[1]})'>{image(overlay)}</i>"
            )
        gray = plots.denormalize(self._photograph).mean(-1)
        shape = f"grid-template: repeat({rows}, 1fr) / repeat({columns}, 1fr)"
        return (
            f"<div class='picker'>{image(gray, 'the photograph in gray')}"
            f"<div class='fields' style='{shape}'>{''.join(fields)}</div></div>\n"
        )

    @property
    def _photograph(self) -> Array:
        """The pixel values normalized as `plots` expects them, whatever the processor did."""
        processor = self.classifier.processor
        normalized = processor.do_normalize
        mean, std = (processor.image_mean, processor.image_std) if normalized else ([0], [1])
        shown = plots.denormalize(self.pixel_values, mean, std)  # (H, W, 3)
        return np.moveaxis((shown - plots.IMAGENET_MEAN) / plots.IMAGENET_STD, -1, 0)

    @property
    def _grid(self) -> tuple[int, int]:
        _, H, W = self.pixel_values.shape
        return stage_sizes(H, W, self.classifier.config)[-1]


@dataclass(frozen=True)
class Part:
    """A part of the page: a heading, a text, and a picture of a height in inches."""

    heading: str
    text: str
    height: float
    draw: Callable[[Any], None]
    html: str = ""


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
        The token whose attention is shown; by default the one that speaks most for the answer.
    top : int
        For how many classes the evidence is shown.

    Returns
    -------
    Explanation
        Shows itself as a page in a notebook; ``save("page.html")`` or ``save("page.png")`` writes
        it to a file.

    Raises
    ------
    ImageError, FileNotFoundError, MissingWeights, WeightsError
        As `classify`.
    ValueError
        If there is no such token.

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


def check_ending(path: Path) -> None:
    """Refuse a file name that does not say what to write."""
    if path.suffix.lower() not in HTML + PICTURES:
        raise ValueError(
            f"{path}: cannot tell from its name what to write; expected it to end in "
            f"{', '.join(HTML + PICTURES)}"
        )


def _name(image: Any) -> str:
    return Path(image).name if isinstance(image, (str, PathLike)) else "the photograph"


def _figure(height: float) -> Figure:
    """Return an empty figure that no window and no list of open figures knows of."""
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise MissingPackage(
            "an explanation is drawn with matplotlib, which is not installed. Install it: "
            'pip install "npformer[plot]"'
        ) from error
    return Figure(figsize=(WIDTH, height), layout="constrained", facecolor="white")


def _picture(figure: Figure, alt: str) -> str:
    """Write a figure as an ``<img>``."""
    file = BytesIO()
    figure.savefig(file, format="png", dpi=160)
    return f"<img alt='{escape(alt)}' src='data:image/png;base64,{encoded(file.getvalue())}'>"


STYLE = """
.npformer-page { max-width: 62rem; margin: 0 auto; padding: 1rem;
  font: 1rem/1.5 system-ui, sans-serif; }
.npformer-page h1 { font-size: 1.5rem; }
.npformer-page h2 { font-size: 1.15rem; margin: 2rem 0 0.3rem; }
.npformer-page p { max-width: 44rem; margin: 0.3rem 0 0.8rem; }
.npformer-page .wide { overflow-x: auto; border-radius: 6px; }
.npformer-page .wide img { display: block; width: 100%; min-width: 36rem; height: auto; }
.npformer-page .picker { position: relative; width: min(22rem, 100%); margin-bottom: 0.8rem; }
.npformer-page .picker img { display: block; width: 100%; height: 100%; border-radius: 6px; }
.npformer-page .fields { position: absolute; inset: 0; display: grid; }
.npformer-page .fields i { cursor: crosshair; outline: none; }
.npformer-page .fields i img { position: absolute; inset: 0; opacity: 0; pointer-events: none; }
.npformer-page .fields i::after { content: ""; display: block; position: relative; z-index: 1;
  height: 100%; outline-offset: -2px; }
.npformer-page .fields i:is(:hover, :focus)::after,
.npformer-page .fields:not(:hover, :focus-within) .chosen::after { outline: 2px solid #56b4e9; }
.npformer-page .fields i:is(:hover, :focus) img,
.npformer-page .fields:not(:hover, :focus-within) .chosen img { opacity: 1; }
.npformer-page footer { margin-top: 2rem; opacity: 0.7; font-size: 0.85rem; }
"""
