"""The names of the ImageNet-1k classes."""

from __future__ import annotations

import re

import pytest

from npformer.network.labels import (
    KINDS,
    by_kind,
    imagenet1k,
    imagenet1k_by_name,
    imagenet1k_wordnet_ids,
    with_imagenet_names,
)


def test_there_are_a_thousand_names_and_each_is_unique():
    assert len(imagenet1k()) == len(set(imagenet1k())) == 1000
    assert all(name == name.strip() and name for name in imagenet1k())


@pytest.mark.parametrize(
    ("index", "wordnet_id", "name"),
    [
        (0, "n01440764", "tench"),
        (281, "n02123045", "tabby"),
        (285, "n02124075", "Egyptian cat"),
        (517, "n03126707", "crane"),
        (967, "n07920052", "espresso"),
        (999, "n15075141", "toilet tissue"),
    ],
)
def test_classes_that_are_known_by_index(index, wordnet_id, name):
    assert imagenet1k()[index] == name
    assert imagenet1k_wordnet_ids()[index] == wordnet_id


def test_the_order_is_that_of_the_wordnet_ids():
    ids = imagenet1k_wordnet_ids()
    assert all(re.fullmatch(r"n\d{8}", wordnet_id) for wordnet_id in ids)
    assert list(ids) == sorted(set(ids))
    assert len(ids) == 1000


def test_a_thousand_classes_without_names_get_them():
    assert with_imagenet_names({i: f"LABEL_{i}" for i in range(1000)}) == dict(
        enumerate(imagenet1k())
    )


@pytest.mark.parametrize(
    "labels",
    [
        {i: f"LABEL_{i}" for i in range(999)},
        {i: f"LABEL_{i}" for i in range(1001)},
        {i: f"LABEL_{i}" for i in range(999)} | {999: "my own class"},
        {i: f"class {i}" for i in range(1000)},
        {},
    ],
)
def test_other_labels_stay(labels):
    assert with_imagenet_names(labels) == labels


def test_every_class_has_a_kind():
    kinds = {found.kind for found in imagenet1k_by_name().values()}
    assert kinds == {*KINDS} - {"other"}
    assert list(imagenet1k_by_name()) == list(imagenet1k())


def test_kinds_are_those_of_the_blocks_of_wordnet():
    """ImageNet's animals, landscapes, people and plants each have numbers in a row."""
    kinds = [found.kind for found in imagenet1k_by_name().values()]
    assert set(kinds[:398]) == {"animals"}
    assert "animals" not in kinds[398:]
    assert kinds[981:984] == ["people"] * 3
    assert kinds.count("people") == 3
    assert set(kinds[984:999]) == {"plants and fungi"}
    assert kinds[971] == "things"
    assert set(kinds[970:971] + kinds[972:981]) == {"places"}
    assert {"vehicles", "clothes"}.isdisjoint(kinds[916:])


def test_classes_are_sorted_by_kind():
    labels = ["espresso", "tabby", "my own", "barn", "Afghan hound", "miniskirt", "school bus"]
    assert by_kind(labels) == {
        "animals": ["Afghan hound", "tabby"],
        "food and drink": ["espresso"],
        "clothes": ["miniskirt"],
        "places": ["barn"],
        "vehicles": ["school bus"],
        "other": ["my own"],
    }
    assert by_kind([]) == {}
