"""The real L1, L3 and L7, if there is a connection or they are in the cache.

    NPFORMER_PUBLISHED=1 pytest tests/test_published.py

downloads them (500 MB) and checks files, sizes and class names. The published logits belong to one
photograph, image 39769 of COCO's validation set of 2017 (two cats on a couch), which is not free to
be shipped: name your copy in ``NPFORMER_COCO_39769``.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import npformer
from npformer.checkpoints import hub
from npformer.layers import Array
from npformer.network import Logits
from npformer.network.labels import imagenet1k
from npformer.network.tree import leaves

if os.environ.get("NPFORMER_PUBLISHED") != "1":
    pytest.skip("NPFORMER_PUBLISHED=1 would download the models", allow_module_level=True)
pytest.importorskip("huggingface_hub")

PHOTOGRAPH = os.environ.get("NPFORMER_COCO_39769")

# transformers 4.40.2: the first ten logits that its conversion script asserts (of L7 it asserts
# the shape alone) to 1e-3, with both heads …
BOTH_HEADS = {
    "l1": [-0.1312, 0.4353, -1.0499, -0.5124, 0.4183, -0.6793, -1.3777, -0.0893, -0.7358, -2.4328],
    "l3": [-1.3150, -1.5456, -1.2556, -0.8496, -0.7127, -0.7897, -0.9728, -0.3052, 0.3751, -0.3127],
    "l7": [-1.0283, -1.4131, -0.5644, -1.3115, -0.5785, -1.2049, -0.7528, 0.1992, -0.3822, -0.0878],
}
# … and the first three that its tests assert of L1, to 1e-4, with the class head alone.
CLASS_HEAD_OF_L1 = [-0.0555, 0.4825, -0.0852]

names = pytest.mark.parametrize("name", ["l1", "l3", "l7"])
needs_photograph = pytest.mark.skipif(
    PHOTOGRAPH is None, reason="NPFORMER_COCO_39769 names no photograph"
)


@cache
def model(name: str) -> npformer.Classifier:
    return npformer.load(name)


@cache
def logits(name: str) -> Logits:
    assert PHOTOGRAPH is not None
    return model(name).forward(model(name).preprocess(Path(PHOTOGRAPH))[None])


@names
def test_it_is_the_published_file(name):
    found = hub.fetch(name)
    assert found.published_as is not None
    assert found.size / 1e6 == pytest.approx(hub.manifest()[name]["size_mb"], rel=0.01)


@names
def test_it_has_as_many_parameters_as_the_manifest_says(name):
    learned: list[Array] = [
        leaf for path, leaf in leaves(model(name).params) if "running_" not in path
    ]
    assert sum(leaf.size for leaf in learned) == hub.manifest()[name]["parameters"]


@names
def test_its_classes_have_names(name):
    assert model(name).labels == imagenet1k()


@names
@needs_photograph
def test_logits_are_the_published_ones(name):
    first = logits(name).logits[0, :10]
    np.testing.assert_allclose(first, BOTH_HEADS[name], rtol=0, atol=1e-3)


@needs_photograph
def test_logits_of_l1_are_those_of_the_reference_tests():
    first, both = logits("l1").cls_logits, logits("l1").logits
    np.testing.assert_allclose(first[0, :3], CLASS_HEAD_OF_L1, rtol=0, atol=1e-4)
    np.testing.assert_allclose(both[0, :3], BOTH_HEADS["l1"][:3], rtol=0, atol=1e-4)


@names
@needs_photograph
def test_it_sees_a_cat(name):
    best = model(name).classify(Path(PHOTOGRAPH), top=1)[0]
    assert best.index in {281, 282, 285}  # tabby, tiger cat, Egyptian cat
