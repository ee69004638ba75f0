"""What is asked of each photograph."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from .identity import identity
from .paths import Paths
from .pipeline import Ask, Read
from .reading import read_image
from .tables import AnswerTable, FeatureTable, Table

if TYPE_CHECKING:
    from ..classification import Classifier


class Task(NamedTuple):
    """What is asked of each photograph."""

    what: str
    """``"answers"`` or ``"features"``"""
    model: Classifier
    decode: str
    table: Table
    options: dict[str, Any]
    """what else belongs to the identity of a run"""

    @property
    def read(self) -> Read:
        """From the name of a photograph to pixel values."""
        return partial(read_image, self.model, self.decode)

    @property
    def ask(self) -> Ask:
        """From pixel values to answers."""
        if isinstance(self.table, AnswerTable):
            return partial(self.model.predict, top=self.table.top)
        return self.model.features

    def identity(self, images: Paths) -> dict[str, Any]:
        """Return everything that decides the rows of an output."""
        engine = self.model.model.engine
        return identity(
            self.model, images, what=self.what, engine=engine, decode=self.decode, **self.options
        )


def answers(model: Classifier, top: int = 5, decode: str = "exact") -> Task:
    """Ask for the likeliest classes, all of them if there are fewer than `top`."""
    top = min(top, len(model.labels))
    return Task("answers", model, decode, AnswerTable(top), {"top": top})


def features(model: Classifier, dtype: str = "float32", decode: str = "exact") -> Task:
    """Ask for the vector that the heads see."""
    table = FeatureTable(model.config.hidden_sizes[-1], dtype)
    return Task("features", model, decode, table, {"dtype": dtype})
