"""The hyperparameters of a training."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..checks import real_number, require, whole_number
from .augment import Augmentation
from .optimizers import SGD, AdamW

BODY = ("stem.*", "stages.*", "norm.*")
"""What ``"body"`` stands for in `Recipe.freeze`: everything except the heads."""


@dataclass(frozen=True)
class Recipe:
    """All choices that affect the result, apart from the photographs and the initial weights.

    Raises
    ------
    ConfigError
        If a value is out of range, or of another type.
    """

    epochs: int = 10
    batch_size: int = 32
    optimizer: str = "adamw"
    """``"adamw"``, or ``"sgd"`` with momentum 0.9"""
    lr: float = 1e-3
    """the highest learning rate: reached by a linear warm-up, followed by a cosine down to 0"""
    warmup: float = 0.5
    """length of the warm-up in epochs"""
    weight_decay: float = 0.025
    label_smoothing: float = 0.1
    distillation: str = "hard"
    """with a teacher: ``"hard"``, learn its first choice as in the paper, or ``"soft"``"""
    alpha: float = 0.5
    """weight of a soft teacher in the loss"""
    temperature: float = 3.0
    """the higher, the more a soft teacher's second choices count"""
    dropout: float = 0.0
    drop_path: float = 0.0
    clip: float = 1.0
    """largest norm of the gradient; 0: no limit"""
    average: float = 0.0
    """decay of a moving average of the parameters, which then is the result; 0: no average"""
    freeze: tuple[str, ...] = ()
    """patterns of paths that are not trained, such as ``"stages.0.*"``; ``"body"``: see `BODY`"""
    seed: int = 0
    augmentation: Augmentation = field(default_factory=Augmentation)

    def __post_init__(self) -> None:
        for name, least, most in (
            ("epochs", 1, 10**6), ("batch_size", 1, 10**6), ("seed", 0, 2**63),
        ):  # fmt: skip
            object.__setattr__(self, name, whole_number(name, getattr(self, name), least, most))
        for name, low, high in (
            ("lr", 0.0, 1e6), ("warmup", 0.0, 1e6), ("weight_decay", 0.0, 1e6), ("clip", 0.0, 1e30),
            ("label_smoothing", 0.0, 1.0), ("dropout", 0.0, 1.0), ("drop_path", 0.0, 1.0),
            ("average", 0.0, 1.0), ("alpha", 0.0, 1.0), ("temperature", 1e-3, 1e3),
        ):  # fmt: skip
            below = name in ("dropout", "drop_path", "average")  # at 1 nothing is left to learn
            value = real_number(name, getattr(self, name), low, high, below=below)
            object.__setattr__(self, name, value)
        for name, choices in (("optimizer", ("adamw", "sgd")), ("distillation", ("hard", "soft"))):
            found, expected = getattr(self, name), " or ".join(map(repr, choices))
            require(isinstance(found, str) and found in choices, name, found, expected)
        patterns = isinstance(self.freeze, (tuple, list))
        patterns = patterns and all(isinstance(pattern, str) for pattern in self.freeze)
        require(patterns, "freeze", self.freeze, 'a tuple of patterns, such as ("body",)')
        object.__setattr__(self, "freeze", tuple(self.freeze))
        kind = isinstance(self.augmentation, Augmentation)
        require(kind, "augmentation", self.augmentation, "an Augmentation")

    def frozen_patterns(self) -> tuple[str, ...]:
        """Return `freeze` with ``"body"`` written out."""
        named = [BODY if pattern == "body" else (pattern,) for pattern in self.freeze]
        return tuple(pattern for patterns in named for pattern in patterns)

    def make_optimizer(self) -> AdamW | SGD:
        """Return the optimizer that the recipe names."""
        if self.optimizer == "sgd":
            return SGD(weight_decay=self.weight_decay)
        return AdamW(weight_decay=self.weight_decay)
