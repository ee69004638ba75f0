"""A teacher for distillation: a trained network whose answers the second head learns.

It sees the same images as the student, augmented and mixed, so it must accept them as they are: the
same size, the same normalization, and the same classes in the same order.

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
from ..network import Logits
from ..network.tree import leaves
from .student import Student


class Teacher(NamedTuple):
    """A network that answers and does not learn."""

    name: str
    """its name or path, and a hash of its weights"""
    forward: Callable[..., Logits]


def read_teacher(teacher: str | PathLike[str], student: Student, engine: str = "auto") -> Teacher:
    """Read a teacher and check that it fits a student.

    Parameters
    ----------
    teacher : str or path
        As in `npformer.load`.
    student : Student
    engine : {"auto", "numba", "numpy"}

    Returns
    -------
    Teacher

    Raises
    ------
    ConfigError
        If the student has no distillation head, or the teacher has other classes, another image
        size or another normalization, or `engine` cannot run it.
    WeightsError, OfflineError, MissingPackage
        If the teacher cannot be read, as in `npformer.load`.
    """
    name = fspath(teacher)
    config = student.config
    if student.params.head_dist is None:
        raise ConfigError(
            f"teacher is {name!r}, but the network to train has one head; begin with one that has "
            "a distillation head, such as 'tiny', or train without a teacher"
        )
    found = read(teacher)
    theirs, ours = (list(c.id2label.values()) for c in (found.config, config))
    if theirs != ours:
        differing = sorted(set(theirs) ^ set(ours)) or ["the order"]
        raise ConfigError(
            f"teacher {name!r} has {len(theirs)} classes, the photographs {len(ours)}; they differ "
            f"in {', '.join(differing[:3])}; first train the teacher on the same folders"
        )
    if found.config.image_shape != config.image_shape:
        sizes = ["{}×{}".format(*c.image_shape) for c in (found.config, config)]
        raise ConfigError(
            f"teacher {name!r} takes images of {sizes[0]}, the network to train {sizes[1]}; take a "
            "teacher of that size, or begin with a network of the teacher's"
        )
    of_teacher, of_student = map(_normalization, (found.processor, student.processor))
    if found.processor and of_teacher != of_student:
        raise ConfigError(
            f"teacher {name!r} normalizes images by {of_teacher}, the network to train by "
            f"{of_student}; write the same into both preprocessor_config.json, "
            "or take another teacher"
        )
    digest = hashlib.sha256()
    for _, leaf in leaves(found.params):
        digest.update(leaf.tobytes())
    forward = make_forward(found.params, found.config, engine)
    return Teacher(f"{name}, {digest.hexdigest()}", forward)


def _normalization(processor: dict[str, Any]) -> dict[str, Any]:
    """Return the settings of a processor that affect the values of pixels."""
    full = EfficientFormerImageProcessor.from_dict(processor).to_dict()
    names = ("do_rescale", "rescale_factor", "do_normalize", "image_mean", "image_std")
    return {name: full[name] for name in names}
