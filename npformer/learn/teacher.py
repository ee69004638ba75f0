"""A teacher for distillation: a trained network that answers what the second head shall learn.

It sees the very images that the student sees, augmented and mixed, so it must take them as they
are: the same size, the same normalization, and the same classes in the same order.

Reference: Touvron et al. 2021 (DeiT), section 4; Li et al. 2022 (EfficientFormer), section 5.1.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from os import PathLike, fspath
from typing import Any, NamedTuple

from ..checkpoints import read
from ..engine import make_forward
from ..errors import ConfigError
from ..images.processor import EfficientFormerImageProcessor
from ..network import EfficientFormer, Logits
from ..network.configuration import EfficientFormerConfig
from ..network.tree import leaves


class Teacher(NamedTuple):
    """A network that is only asked."""

    name: str
    """what it was called, and a fingerprint of its weights"""
    forward: Callable[..., Logits]


def read_teacher(
    teacher: str | PathLike[str],
    params: EfficientFormer,
    config: EfficientFormerConfig,
    processor: dict[str, Any],
    engine: str = "auto",
) -> Teacher:
    """Read a teacher and see that it fits a student.

    Parameters
    ----------
    teacher : str or path
        As in `npformer.load`.
    params, config, processor
        The student's.
    engine : {"auto", "numba", "numpy"}

    Returns
    -------
    Teacher

    Raises
    ------
    ConfigError
        If the student has no second head, or the teacher has other classes or takes other images.
    """
    name = fspath(teacher)
    if params.head_dist is None:
        raise ConfigError(
            f"teacher is {name!r}, but the network to train has one head; begin with one that has "
            "a distillation head, such as 'tiny', or train without a teacher"
        )
    found = read(teacher)
    own, wanted = (list(c.id2label.values()) for c in (found.config, config))
    if own != wanted:
        differing = sorted(set(own) ^ set(wanted)) or ["the order"]
        raise ConfigError(
            f"teacher {name!r} has {len(own)} classes, the photographs {len(wanted)}; they differ "
            f"in {', '.join(differing[:3])}; first train the teacher on the same folders"
        )
    if found.config.image_shape != config.image_shape:
        sizes = ["{}×{}".format(*c.image_shape) for c in (found.config, config)]
        raise ConfigError(
            f"teacher {name!r} takes images of {sizes[0]}, the network to train {sizes[1]}; take a "
            "teacher of that size, or begin with a network of the teacher's"
        )
    theirs, ours = map(_normalization, (found.processor, processor))
    if found.processor and theirs != ours:
        raise ConfigError(
            f"teacher {name!r} normalizes images by {theirs}, the network to train by {ours}; "
            "write the same into both preprocessor_config.json, or take another teacher"
        )
    digest = hashlib.sha256()
    for _, leaf in leaves(found.params):
        digest.update(leaf.tobytes())
    forward = make_forward(found.params, found.config, engine)
    return Teacher(f"{name}, {digest.hexdigest()}", forward)


def _normalization(processor: dict[str, Any]) -> dict[str, Any]:
    """Return what decides the values of pixels."""
    full = EfficientFormerImageProcessor.from_dict(processor).to_dict()
    names = ("do_rescale", "rescale_factor", "do_normalize", "image_mean", "image_std")
    return {name: full[name] for name in names}
