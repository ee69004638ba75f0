"""Training: losses, optimizers, data, and the loop that uses them.

>>> from npformer import learn
>>> learn.fit("photos", "result", learn.Recipe(epochs=5))  # doctest: +SKIP
"""

from .augment import NONE, Augmentation
from .class_folders import DataError, find_photographs
from .evaluation import Evaluation, evaluate
from .fitting import Fitted, TrainingInterrupted, fit
from .progress import Progress
from .recipe import Recipe
from .trainer import LearningError

__all__ = [
    "NONE",
    "Augmentation",
    "DataError",
    "Evaluation",
    "Fitted",
    "LearningError",
    "Progress",
    "Recipe",
    "TrainingInterrupted",
    "evaluate",
    "find_photographs",
    "fit",
]
