"""The page of the explorer: one file with the network, photographs, and all to look at them.

The page computes by itself, in JavaScript (`npformer/explorer/web`); here its parts are laid
together: the modules in two scripts, the weights as text, the configuration, the preprocessing, the
sources of the layers, photographs, and lessons.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from html import escape
from io import BytesIO
from os import PathLike
from pathlib import Path
from typing import Any

import PIL.Image

from .. import classification
from ..classification import Classifier, Image
from ..data import PHOTOGRAPHS, photograph
from ..display import encoded
from ..engine.fold import FoldedNetwork
from ..errors import ConfigError
from ..files.atomic import replacing
from ..files.paths import as_html_path
from ..images.open import open_image
from ..images.processor import EfficientFormerImageProcessor
from ..images.settings import Settings
from ..network import stage_sizes
from ..version import __version__
from .bundle import bundle
from .sources import ACTIVATIONS, sources
from .weights import pack

WEB = Path(__file__).parent / "web"
MAX_SIDE = 1024
"""Longest side, in pixels, of a photograph in a page; a larger one is made smaller first."""

OWN = "own"
"""What an address calls a photograph that only the reader has."""

_CONFIG = (
    "depths", "hidden_sizes", "key_dim", "num_attention_heads", "pool_size", "hidden_act",
    "downsample_patch_size", "downsample_stride", "downsample_pad", "batch_norm_eps",
    "layer_norm_eps",
)  # fmt: skip
BICUBIC = PIL.Image.Resampling.BICUBIC


@dataclass(frozen=True, repr=False)
class Exploration:
    """A page to look at a network with. A notebook shows it in place."""

    title: str
    html: str
    """the whole page, which needs no other file and no connection"""

    def __repr__(self) -> str:
        return f"<npformer.Exploration of {self.title}, {len(self.html.encode()) / 1e6:.1f} MB>"

    def save(self, path: str | PathLike[str]) -> Path:
        """Write the page to a file, which appears whole or not at all.

        Parameters
        ----------
        path : str or path

        Returns
        -------
        Path

        Raises
        ------
        ConfigError
            If its name does not end in ``.html`` or ``.htm``, or is an address.
        OSError
            If the file cannot be written.
        """
        path = as_html_path(path)
        with replacing(path) as temporary:
            temporary.write_text(self.html, encoding="utf-8")
        return path

    def _repr_html_(self) -> str:
        return (
            f'<iframe title="{escape(self.title)}" srcdoc="{escape(self.html)}" '
            'style="width: 100%; height: 48rem; border: 0" allow="camera"></iframe>'
        )


def explore(
    photo: Image | None = None,
    model: str | PathLike[str] | Classifier = "tiny",
    *,
    entry: str | None = None,
) -> Exploration:
    """Make a page on which a network runs and every number can be looked at and changed.

    Parameters
    ----------
    photo : path, bytes, file, PIL.Image or ndarray, optional
        The photograph that the page begins with. The four that come with npformer are always there.
    model : str, path or Classifier
        As in `load`, or what it returned. Its weights travel in float16.
    entry : str, optional
        Which weights to read if `model` is a PyTorch file that has several.

    Returns
    -------
    Exploration
        A notebook shows it; ``save("page.html")`` writes it to a file.

    Raises
    ------
    ImageError, FileNotFoundError, MissingWeights, WeightsError
        As in `classify`.
    ConfigError
        If the page cannot compute this network: its weights are in eight bits, it has no head,
        another activation or another kind of preprocessing.

    Examples
    --------
    >>> npformer.explore("notebooks/images/coffee.png").save("coffee.html")  # doctest: +SKIP
    """
    name = model if isinstance(model, (str, PathLike)) else "a network"
    if not isinstance(model, Classifier):
        model = classification.load(model, engine="numpy", entry=entry)
    check_network(model)
    manifest, weights, exact = pack(model.params)
    rounding = "" if exact else ", its weights rounded to float16"
    title = f"The explorer: EfficientFormer, {name}{rounding}"
    data = page_data(model, title)
    data["photographs"] = photographs(photo)
    data["manifest"] = manifest
    data["weights"] = {"type": "float16", "exact": exact}
    return Exploration(title, assembled(title, data, weights))


def check_network(model: Classifier) -> None:
    """Refuse a network that the page cannot compute.

    Raises
    ------
    ConfigError
        The message says what it is that the page cannot do.
    """
    params, config, processor = model.params, model.config, model.processor
    if isinstance(params, FoldedNetwork):
        raise ConfigError(
            "these weights are in eight bits, and the explorer shows every layer by itself; give "
            "the weights that they were made from"
        )
    if params.head is None:
        raise ConfigError("this network has no head and gives no answer that could be explored")
    if config.hidden_act not in ACTIVATIONS:
        raise ConfigError(
            f"hidden_act is {config.hidden_act!r}; the explorer has {', '.join(ACTIVATIONS)}"
        )
    if config.num_channels != 3:
        raise ConfigError(
            f"num_channels is {config.num_channels}; the explorer shows photographs, which have 3"
        )
    if processor.do_resize and int(processor.resample) == 0:
        raise ConfigError("resample is 0 (nearest); the explorer has the filters 1 to 5")
    if not processor.do_center_crop and not (processor.do_resize and "height" in processor.size):
        raise ConfigError(
            "this preprocessing gives images of any size; the explorer needs do_center_crop, or a "
            "size with height and width"
        )


def page_data(model: Classifier, title: str) -> dict[str, Any]:
    """Return what the page knows of a network besides its weights."""
    config, processor = model.config, model.processor
    size = processor.crop_size if processor.do_center_crop else processor.size
    rows, columns = stage_sizes(size["height"], size["width"], config)[-1]
    return {
        "title": title,
        "version": __version__,
        "config": {name: getattr(config, name) for name in _CONFIG},
        "processor": preprocessing(processor),
        "labels": list(model.labels),
        "imageSize": size,
        "grid": {"rows": rows, "columns": columns},
        "heads": config.num_attention_heads,
        "parameters": model.summary().parameters,
        "sources": sources(),
        "lessons": [json.loads(f.read_text("utf-8")) for f in sorted(WEB.glob("lessons/*.json"))],
    }


def preprocessing(processor: EfficientFormerImageProcessor) -> dict[str, Any]:
    """Return what the page needs to know of a processor, and of this Pillow."""
    settings = {name: getattr(processor, name) for name in Settings._fields}
    return {**settings, "columns_first": columns_first()}


def columns_first() -> bool:
    """Tell whether this Pillow resizes columns before rows where they lose many more pixels.

    Pillow 13 and later do (pull request 9549), which gives some pixels other values.
    """
    picture = PIL.Image.frombytes("L", (8, 32), bytes(i * i * 37 % 251 for i in range(256)))
    in_turn = picture.resize((8, 8), BICUBIC).resize((32, 8), BICUBIC)
    return picture.resize((32, 8), BICUBIC).tobytes() == in_turn.tobytes()


def photographs(first: Image | None) -> list[dict[str, Any]]:
    """Return the photographs of a page: one of the reader's, and those that come with npformer.

    Each has a name of its own, by which an address names it. A photograph that comes with npformer
    is there once, under the name that lessons know, though it be given by its file.
    """
    shelf = [described(each, photograph(each)) for each in PHOTOGRAPHS]
    if first is None:
        return shelf
    name = _name(first)
    if name in (*PHOTOGRAPHS, OWN):
        name += ", from a file"
    given = described(name, first)
    same = [each for each in shelf if each["url"] == given["url"]]
    return [*(same or [given]), *(each for each in shelf if each not in same)]


def described(name: str, image: Image) -> dict[str, Any]:
    """Return a photograph as the page holds it: upright, in PNG, without anything but pixels."""
    picture = open_image(image)
    if max(picture.size) > MAX_SIDE:
        picture.thumbnail((MAX_SIDE, MAX_SIDE))
    file = BytesIO()
    picture.save(file, "PNG", optimize=True)
    return {
        "name": name,
        "title": name,
        "url": f"data:image/png;base64,{encoded(file.getvalue())}",
        "width": picture.width,
        "height": picture.height,
    }


def assembled(title: str, data: dict[str, Any], weights: str) -> str:
    """Fill the places of ``page.html``.

    Raises
    ------
    ValueError
        If a script would end the element that holds it.
    """
    filled = {
        "title": escape(title),
        "style": (WEB / "page.css").read_text("utf-8"),
        "data": json.dumps(data, allow_nan=False).replace("<", "\\u003c"),
        "weights": weights,
        "engine": bundle(WEB / "worker.js"),
        "page": bundle(WEB / "page.js"),
    }
    for name, text in filled.items():
        if odd := re.search(r"</(?:script|style)|<!--", text, re.I):
            raise ValueError(f"the {name} of the page holds {odd[0]!r}, which would end it")
    template = (WEB / "page.html").read_text("utf-8")
    return re.sub(r"\{\{(\w+)\}\}", lambda place: filled[place[1]], template)


def _name(image: Any) -> str:
    return Path(image).name if isinstance(image, (str, PathLike)) else "the photograph"
