"""A comparison as a page: the layers in a table, and where the first wrong one differs."""

from __future__ import annotations

from html import escape
from math import isqrt, log10
from typing import NamedTuple

import numpy as np

from ... import display
from ...layers import Array
from ...teach.page import document
from .rows import Layer, Wrong

STYLE = """
.npformer-compare { max-width: 62rem; margin: 0 auto; padding: 1rem;
  font: 1rem/1.5 system-ui, sans-serif; }
.npformer-compare .verdict { white-space: pre-wrap; font-size: 1.1rem; padding: 0.6rem 0.9rem;
  border-left: 0.35rem solid #2a9d62; background: color-mix(in srgb, #2a9d62 12%, transparent); }
.npformer-compare .verdict.bad { border-color: #c8453b;
  background: color-mix(in srgb, #c8453b 12%, transparent); }
.npformer-compare h1, .npformer-compare h2, .npformer-compare .verdict { overflow-wrap: anywhere; }
.npformer-compare .scroll { overflow-x: auto; }
.npformer-compare .scroll td, .npformer-compare .scroll th { white-space: nowrap; }
.npformer-compare figure { display: inline-block; margin: 0 1rem 1rem 0; vertical-align: top; }
.npformer-compare figure img { width: 14rem; max-width: 100%; min-height: 2rem;
  image-rendering: pixelated; border: 1px solid color-mix(in srgb, currentColor 30%, transparent); }
.npformer-compare figcaption { font-size: 0.85rem; max-width: 14rem; }
.npformer-compare figure.wide { display: block; max-width: 44rem; }
.npformer-compare figure.wide img { width: 100%; }
.npformer-compare figure.wide figcaption { max-width: none; }
"""


class Contents(NamedTuple):
    """What the page shows."""

    reference: str
    other: str
    is_right: bool
    verdict: str
    notes: tuple[str, ...]
    layers: tuple[Layer, ...]
    wrong: Wrong | None


def page(comparison: Contents) -> str:
    """Write a document that needs no other file and no connection."""
    return document(f"{comparison.other} compared with {comparison.reference}", body(comparison))


def body(comparison: Contents) -> str:
    """Write an element that a notebook shows."""
    bad = "" if comparison.is_right else " bad"
    rows = [
        (
            layer.path,
            layer.recorded,
            f"{layer.error:.2e}",
            f"{layer.bound:.2e}",
            f"{layer.ratio:.3g}",
            display.bar(_share(layer.ratio), 12),
        )
        for layer in comparison.layers
    ]
    head = ("layer", "recorded as", "error", "bound", "error/bound", "")
    table = display.table(head, rows, numbers=range(2, 5))
    notes = "".join(f"<p>{escape(note)}</p>" for note in comparison.notes)
    pictures = "" if comparison.wrong is None else _pictures(comparison.wrong)
    return (
        f"<article class='npformer-compare'>\n<style>{STYLE}</style>\n"
        f"<h1>{escape(comparison.other)}</h1>\n"
        f"<p>Compared with {escape(comparison.reference)}, each layer on what the other network "
        "itself gave to it.</p>\n"
        f"<p class='verdict{bad}'>{escape(comparison.verdict)}</p>\n{notes}{pictures}"
        "<h2>Layers</h2>\n<div class='scroll' tabindex='0' role='region' aria-label='layers'>"
        f"{table}</div>\n</article>"
    )


def _share(ratio: float) -> float:
    """Return a bar's length: half for the bound, all for a million times that."""
    if not ratio > 0:
        return 0.0
    return min(1.0, max(0.0, 0.5 + log10(ratio) / 12)) if np.isfinite(ratio) else 1.0


def _pictures(wrong: Wrong) -> str:
    """Show an array, what it should be, and where they differ, in space and over channels."""
    error = abs(wrong.found - wrong.right)
    with np.errstate(all="ignore"):
        ratio = np.nan_to_num(error / wrong.bound, nan=np.inf, posinf=1e30)
    figures = []
    for caption, array in (
        ("the other's, mean over channels", wrong.found),
        ("the reference's, mean over channels", wrong.right),
        ("error / bound, its largest over channels", ratio),
    ):
        plane = _plane(wrong.path, array, largest=array is ratio)
        if plane is not None:
            figures.append(_figure(caption, np.log10(plane + 1e-3) if array is ratio else plane))
    over = ratio.reshape(-1, ratio.shape[-1]).max(0)
    axis = "keys" if wrong.path.endswith((".attn", ".scores", ".biased")) else "channels"
    bad = int((over > 1).sum())
    strip = np.log10(over + 1e-3)[None]
    caption = f"largest error / bound of each of {over.size} {axis}: {bad} are wrong"
    figures.append(_figure(caption, strip, wide=True))
    return (
        f"<h2>Where {escape(wrong.path)} differs</h2>\n<p>Dark is the smallest number of a "
        f"picture, bright its largest.</p>\n{''.join(figures)}\n"
    )


def _plane(path: str, array: Array, largest: bool) -> Array | None:
    """Reduce an array to rows and columns: the mean over channels, or the largest."""
    reduce = np.max if largest else np.mean
    plane: Array
    if array.ndim == 4 and path.endswith((".attn", ".scores", ".biased")):
        plane = reduce(array[0], axis=0)
    elif array.ndim == 4:
        plane = reduce(array[0], axis=-1)
    elif array.ndim == 3 and isqrt(array.shape[1]) ** 2 == array.shape[1]:
        side = isqrt(array.shape[1])
        plane = reduce(array[0], axis=-1).reshape(side, side)
    else:
        return None
    return plane


def _figure(caption: str, plane: Array, wide: bool = False) -> str:
    """Show numbers from dark for the smallest to bright for the largest."""
    plane = np.nan_to_num(plane.astype(np.float64))
    gray = (plane - plane.min()) / (np.ptp(plane) or 1)
    kind = " class='wide'" if wide else ""
    shown = display.image(gray, caption)
    return f"<figure{kind}>{shown}<figcaption>{escape(caption)}</figcaption></figure>"
