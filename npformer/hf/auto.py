"""The names by which transformers finds the class for a checkpoint; here there is one network.

>>> from npformer import AutoImageProcessor, AutoModelForImageClassification
>>> processor = AutoImageProcessor.from_pretrained("tiny")
>>> type(AutoModelForImageClassification.from_pretrained("tiny")).__name__
'EfficientFormerForImageClassificationWithTeacher'
"""

from __future__ import annotations

from os import PathLike
from typing import Any, NoReturn

from ..images.processor import EfficientFormerImageProcessor
from ..network.configuration import EfficientFormerConfig
from .modeling import EfficientFormerModel, model_class
from .pretrained import EfficientFormerPreTrainedModel
from .reading import read_pretrained

AutoConfig = EfficientFormerConfig
AutoImageProcessor = EfficientFormerImageProcessor
AutoModel = EfficientFormerModel


class AutoModelForImageClassification:
    """Finds the class that has the heads of a checkpoint."""

    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name_or_path: str | PathLike[str],
        *,
        engine: str = "auto",
        **options: Any,
    ) -> EfficientFormerPreTrainedModel:
        """Load a network with the heads that the checkpoint has.

        Parameters
        ----------
        pretrained_model_name_or_path, engine, **options
            As in `EfficientFormerPreTrainedModel.from_pretrained`.

        Returns
        -------
        EfficientFormerForImageClassification or EfficientFormerForImageClassificationWithTeacher
            A checkpoint without heads is an `EfficientFormerModel`.

        Raises
        ------
        MissingWeights, WeightsError, UnsafeCheckpointError, OfflineError, ConfigError, TypeError
            As in `EfficientFormerPreTrainedModel.from_pretrained`.
        """
        config, params = read_pretrained(pretrained_model_name_or_path, **options)
        return model_class(params)(config, params, engine=engine)


def pipeline(*arguments: Any, **options: Any) -> NoReturn:
    """Say what npformer has instead of the pipelines of transformers.

    Raises
    ------
    NotImplementedError
        Always.
    """
    raise NotImplementedError(
        "npformer has no pipelines: npformer.load(model).classify(images, top=5) names what is on "
        "images, and .to_dicts() of its answers has labels and scores"
    )
