"""Pictures of what goes on inside the network, each as matplotlib Axes.

>>> from npformer import plots
>>> plots.feature_maps(trace["stem"])  # doctest: +SKIP

Every function takes arrays and an optional ``ax`` to draw on, and returns the Axes. matplotlib is
imported when the first picture is drawn; ``pip install "npformer[plot]"`` installs it, and without
it every picture raises `MissingPackage`.

Colors: viridis and cividis for amounts, PuOr for signed numbers, and the palette of Okabe and Ito
(2008) for kinds. All of them can be told apart with any kind of color vision; viridis and cividis
also survive printing in gray.
"""

from ...images.settings import IMAGENET_MEAN, IMAGENET_STD
from .axes import COLORS
from .charts import bars, histograms, predictions, stacked_bars
from .network import architecture, bias_tables
from .photographs import (
    attention,
    channels,
    denormalize,
    feature_maps,
    heatmap,
    photograph,
    to_unit_range,
    upsample,
)

__all__ = [
    "COLORS",
    "IMAGENET_MEAN",
    "IMAGENET_STD",
    "architecture",
    "attention",
    "bars",
    "bias_tables",
    "channels",
    "denormalize",
    "feature_maps",
    "heatmap",
    "histograms",
    "photograph",
    "predictions",
    "stacked_bars",
    "to_unit_range",
    "upsample",
]
