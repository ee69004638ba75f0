"""The folder for results: the state, the network, the log, and the picture of the curves.

The state is written first, and the rest follows from it. So after a kill in between, which leaves a
network older than its state, resuming writes the rest again.
"""

from __future__ import annotations

import json
import warnings
from os import PathLike
from pathlib import Path

from .. import checkpoints
from ..files.atomic import remove_left_over, replacing
from ..files.names import CONFIG_NAME, PROCESSOR_NAME, WEIGHTS_NAMES
from ..network import EfficientFormer
from . import state
from .state import TrainingState
from .student import Student

LOG = "log.jsonl"
CURVES = "curves.png"
FILES = (state.NAME, WEIGHTS_NAMES[0], PROCESSOR_NAME, CONFIG_NAME, LOG, CURVES)
"""All files that a training writes."""


def is_there(out: str | PathLike[str]) -> bool:
    """Whether a folder holds a training to resume."""
    return Path(out, state.NAME).is_file()


def check_folder(out: Path, resume: bool) -> None:
    """Refuse a folder with anything but a training to resume; say so if there is nothing to resume.

    Raises
    ------
    FileExistsError
        If the folder is not empty and there is nothing to resume, or `resume` is not set.

    Warns
    -----
    UserWarning
        If `resume` is set and there is no such folder, or it is empty.
    """
    if resume and is_there(out):
        return
    if out.is_dir() and any(p.name[0] != "." for p in out.iterdir()):
        remedy = "it holds no training to resume" if resume else "resume, or take another"
        raise FileExistsError(f"{out}: not empty; {remedy}")
    if resume:
        warnings.warn(f"{out}: nothing to resume; training begins anew", stacklevel=3)


def write(out: Path, now: TrainingState, student: Student, result: EfficientFormer) -> None:
    """Write what follows from the state: the network and the log; each file appears whole.

    Parameters
    ----------
    out : Path
    now : TrainingState
    student : Student
        Gives the architecture and the image processor.
    result : EfficientFormer
        The parameters to use.

    Raises
    ------
    OSError
        If a file cannot be written.
    """
    checkpoints.write(out, student.config, result, student.processor)
    with replacing(out / LOG) as temporary:
        text = "".join(json.dumps(row) + "\n" for row in now.history)
        temporary.write_text(text, encoding="utf-8")


def remove_left_overs(out: Path) -> None:
    """Delete the temporary files of a training that was killed."""
    for name in FILES:
        remove_left_over(out / name)
