"""Photographs to learn from: found, read in order, changed at random by a seed."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from photo_cases import SIZE, photographs
from PIL import Image

from npformer.errors import ConfigError, ImageError
from npformer.images.processor import EfficientFormerImageProcessor
from npformer.learn import NONE, Augmentation, DataError, find_photographs
from npformer.learn.augment import (
    color_jitter,
    mixup,
    random_box,
    random_erasing,
    random_resized_crop,
)
from npformer.learn.class_folders import Photographs
from npformer.learn.data import (
    Batch,
    epoch_order,
    evaluation_batches,
    generator,
    input_size,
    training_batches,
    training_pixels,
)
from npformer.learn.parallel import map_in_order

PROCESSOR = EfficientFormerImageProcessor(size=SIZE, crop_size=SIZE)
EVERYTHING = Augmentation(erase=0.5)


@pytest.fixture
def photos(tmp_path: Path) -> Photographs:
    return find_photographs(photographs(tmp_path / "photos"))


def batches(photos: Photographs, **changes: object) -> list[Batch]:
    options: dict[str, object] = {"seed": 1, "epoch": 0, "batch_size": 4, **changes}
    return list(training_batches(photos, PROCESSOR, EVERYTHING, **options))  # type: ignore[arg-type]


def test_sub_folders_are_classes(photos: Photographs) -> None:
    assert photos.classes == ("lime", "plum")
    assert [path.parent.name for path in photos.paths] == ["lime"] * 6 + ["plum"] * 6
    assert photos.labels.tolist() == [0] * 6 + [1] * 6


def test_only_photographs_are_listed_down_to_the_bottom(tmp_path: Path) -> None:
    root = photographs(tmp_path, 1)
    (root / "lime" / "notes.txt").write_text("no picture")
    (root / "lime" / ".hidden.png").write_text("no picture")
    (root / ".cache").mkdir()
    (root / "lime" / "deep").mkdir()
    (root / "lime" / "0.png").rename(root / "lime" / "deep" / "1.PNG")
    assert [path.name for path in find_photographs(root).paths] == ["1.PNG", "0.png"]


def test_classes_of_a_model_are_found_by_name(tmp_path: Path) -> None:
    root = photographs(tmp_path, 1)
    (root / "lime").rename(root / "Key_lime")
    found = find_photographs(root, ["plum", "other", "key lime"])
    assert found.labels.tolist() == [2, 0]
    assert found.classes == ("plum", "other", "key lime")
    with pytest.raises(DataError, match=r"plum: 'plum' is not one of the 1 classes .*'key lime'"):
        find_photographs(root, ["key lime"])


def test_names_that_differ_in_capitals_are_two_classes(tmp_path: Path) -> None:
    root = photographs(tmp_path, 1)
    (root / "lime").rename(root / "Plum")
    if len(list(root.iterdir())) == 2:  # some file systems ignore case
        assert find_photographs(root).labels.tolist() == [0, 1]


def test_folders_that_teach_nothing_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no sub-folders"):
        find_photographs(tmp_path)
    with pytest.raises(FileNotFoundError):
        find_photographs(tmp_path / "missing")
    for name in ("empty", "other"):
        (tmp_path / name).mkdir()
    with pytest.raises(DataError, match="empty: no photographs"):
        find_photographs(tmp_path)


def test_an_epoch_sees_each_photograph_once(photos: Photographs) -> None:
    assert sorted(epoch_order(photos, 1, 0)) == list(range(12))
    assert epoch_order(photos, 1, 0).tolist() != epoch_order(photos, 1, 1).tolist()
    found = batches(photos)
    assert [batch.x.shape for batch in found] == [(4, SIZE, SIZE, 3)] * 3
    assert found[0].x.dtype == np.float32
    labels = np.concatenate([batch.labels for batch in found])
    assert labels.tolist() == photos.labels[epoch_order(photos, 1, 0)].tolist()


def test_batches_are_a_function_of_seed_and_epoch(photos: Photographs) -> None:
    once = np.stack([batch.x for batch in batches(photos, workers=1)])
    again = np.stack([batch.x for batch in batches(photos, workers=5)])
    np.testing.assert_array_equal(once, again)
    from_second = np.stack([batch.x for batch in batches(photos, first=1)])
    np.testing.assert_array_equal(once[1:], from_second)
    for change in ({"seed": 2}, {"epoch": 1}):
        assert (np.stack([batch.x for batch in batches(photos, **change)]) != once).any()


def test_what_is_left_over_waits_for_the_next_epoch(photos: Photographs) -> None:
    assert [len(batch.x) for batch in batches(photos, batch_size=5)] == [5, 5]
    assert [len(batch.x) for batch in batches(photos, batch_size=99)] == [12]


def test_unreadable_files_are_named_and_skipped_or_refused(photos: Photographs) -> None:
    bad, gone = photos.paths[2], photos.paths[9]
    bad.write_bytes(b"no picture")
    gone.unlink()
    found = batches(photos, unreadable="skip")
    assert sum(len(batch.x) for batch in found) == 10
    messages = sorted(message for batch in found for message in batch.unreadable)
    assert [str(path) in message for path, message in zip((bad, gone), messages, strict=True)]
    with pytest.raises((ImageError, OSError), match="png"):
        batches(photos)
    gone.write_bytes(bad.read_bytes())
    rest = list(evaluation_batches(photos, PROCESSOR, unreadable="skip"))
    assert rest[0].labels.tolist() == [0] * 5 + [1] * 5


def test_a_batch_may_be_empty(photos: Photographs) -> None:
    for path in photos.paths:
        path.write_bytes(b"")
    assert [len(batch.x) for batch in batches(photos, unreadable="skip")] == [0, 0, 0]


def test_evaluation_sees_what_the_processor_makes(photos: Photographs) -> None:
    found = np.concatenate([b.x for b in evaluation_batches(photos, PROCESSOR, batch_size=5)])
    expected = PROCESSOR(list(photos.paths), return_tensors="np")["pixel_values"]
    np.testing.assert_array_equal(found, np.moveaxis(expected, 1, -1))


def test_without_augmentation_training_sees_the_same(tmp_path: Path) -> None:
    image = Image.fromarray(
        np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, 3)).astype(np.uint8)
    )
    for options in ({}, {"do_rescale": False}, {"do_normalize": False}):
        processor = EfficientFormerImageProcessor(size=SIZE, crop_size=SIZE, **options)
        found = training_pixels(image, processor, NONE, generator(0, "sample"))
        expected = processor(image, return_tensors="np", data_format="channels_last")
        np.testing.assert_allclose(found, expected["pixel_values"][0], rtol=1e-5, atol=1e-5)


def test_the_size_of_training(tmp_path: Path) -> None:
    squeezed = EfficientFormerImageProcessor(size=(20, 30), do_center_crop=False)
    assert input_size(squeezed) == (20, 30)
    with pytest.raises(ConfigError, match="different sizes"):
        input_size(EfficientFormerImageProcessor(size={"shortest_edge": 9}, do_center_crop=False))


def test_a_flip_is_a_mirror_image() -> None:
    image = Image.fromarray(np.arange(SIZE * SIZE * 3, dtype=np.uint8).reshape(SIZE, SIZE, 3))
    straight = training_pixels(image, PROCESSOR, NONE, generator(0, "sample"))
    flipped = training_pixels(image, PROCESSOR, replace(NONE, flip=1.0), generator(0, "sample"))
    np.testing.assert_array_equal(flipped, straight[:, ::-1])


@given(
    st.integers(1, 60), st.integers(1, 60), st.floats(0.05, 1), st.floats(0.2, 1), st.integers(0)
)
@settings(max_examples=50, deadline=None)
def test_boxes_lie_inside(width: int, height: int, low: float, ratio: float, seed: int) -> None:
    augmentation = Augmentation(scale=(low, 1.0), ratio=(ratio, 1 / ratio))
    rng = np.random.default_rng(seed)
    left, top, right, bottom = random_box(width, height, augmentation, rng)
    assert 0 <= left < right <= width
    assert 0 <= top < bottom <= height


def test_crops_have_the_drawn_share_and_ratio() -> None:
    augmentation, rng = Augmentation(scale=(0.25, 0.5)), np.random.default_rng(0)
    boxes = np.array([random_box(1000, 1000, augmentation, rng) for _ in range(300)])
    sides = boxes[:, 2:] - boxes[:, :2]
    share, ratio = sides.prod(1) / 1e6, sides[:, 0] / sides[:, 1]
    assert 0.249 < share.min() < 0.27
    assert 0.48 < share.max() < 0.501
    assert 0.74 < ratio.min() < 0.8
    assert 1.25 < ratio.max() < 1.34
    assert boxes[:, 0].max() > 300 > 100 > boxes[:, 0].min()


def test_a_long_strip_gives_its_middle() -> None:
    box = random_box(1000, 10, Augmentation(), np.random.default_rng(0))
    assert box == (493, 0, 506, 10)


def test_the_crop_is_that_part_of_the_picture() -> None:
    image = Image.new("RGB", (40, 20), "red")
    image.paste("blue", (20, 0, 40, 20))
    crop = random_resized_crop(image, (8, 6), NONE, np.random.default_rng(0))
    assert crop.size == (6, 8)
    assert np.asarray(crop)[4].tolist()[0] == [255, 0, 0]
    assert np.asarray(crop)[4].tolist()[-1] == [0, 0, 255]


def test_jitter_by_hand() -> None:
    x = np.random.default_rng(0).uniform(0.4, 0.6, (5, 6, 3)).astype(np.float32)
    brightness, contrast, saturation = np.random.default_rng(3).uniform(0.8, 1.2, 3)
    found = color_jitter(x, 0.2, np.random.default_rng(3))
    before, after = (image @ [0.299, 0.587, 0.114] for image in (x, found))  # (5, 6), gray
    mean = before.mean()
    np.testing.assert_allclose(after, brightness * (mean + contrast * (before - mean)), rtol=1e-5)
    color = brightness * contrast * saturation * (x - before[..., None])
    np.testing.assert_allclose(found - after[..., None], color, rtol=0, atol=1e-6)
    colored = np.random.default_rng(0).random((5, 6, 3)).astype(np.float32)
    np.testing.assert_allclose(
        color_jitter(colored, 0.0, np.random.default_rng(0)), colored, atol=1e-6
    )
    changed = color_jitter(colored, 0.9, np.random.default_rng(0))
    assert 0 <= changed.min() < changed.max() <= 1
    assert changed.dtype == np.float32


def test_erasing_replaces_one_rectangle_by_noise() -> None:
    x = np.full((30, 30, 3), 9.0, np.float32)
    for seed in range(20):
        erased = random_erasing(x, np.random.default_rng(seed))
        gone = (erased != 9).any(-1)
        rows, columns = np.flatnonzero(gone.any(1)), np.flatnonzero(gone.any(0))
        assert gone.sum() == len(rows) * len(columns)
        assert 0.01 < gone.mean() < 0.36
        assert np.ptp(rows) + 1 == len(rows)
    assert (x == 9).all()


def test_mixup_mixes_targets_as_images() -> None:
    x = np.eye(4, dtype=np.float32).reshape(4, 1, 1, 4)
    targets = np.eye(4, dtype=np.float32)
    mixed, mixed_targets = mixup(x, targets, 0.4, np.random.default_rng(1))
    np.testing.assert_array_equal(mixed[:, 0, 0], mixed_targets)
    np.testing.assert_allclose(mixed_targets.sum(1), 1, rtol=1e-6)
    assert mixed_targets[0, 0] == np.float32(np.random.default_rng(1).beta(0.4, 0.4))
    assert mixed.dtype == np.float32


def test_results_come_in_order_and_not_too_far_ahead() -> None:
    begun: list[int] = []
    before = set(threading.enumerate())

    def work(item: int) -> int:
        begun.append(item)
        time.sleep(0.002 * (item % 3))
        return item * item

    results = map_in_order(work, range(40), 4, ahead=5)
    assert [next(results) for _ in range(10)] == [i * i for i in range(10)]
    time.sleep(0.05)
    assert len(begun) <= 10 + 5 + 1
    results.close()
    assert set(threading.enumerate()) <= before


def test_an_error_in_a_thread_ends_the_others() -> None:
    def work(item: int) -> int:
        return 1 // (item - 3)

    def items() -> Iterator[int]:
        yield from range(10)

    before = set(threading.enumerate())
    with pytest.raises(ZeroDivisionError):
        list(map_in_order(work, items(), 2, ahead=3))
    assert set(threading.enumerate()) <= before


def test_purposes_draw_different_numbers() -> None:
    draws = {
        generator(0, purpose, *numbers).random()
        for purpose in ("order", "sample", "mixup", "noise", "heads")
        for numbers in ((), (1,), (0, 1), (1, 1))
    }
    assert len(draws) == 20


def test_images_of_different_sizes_come_in_batches_of_one_size(photos: Photographs) -> None:
    processor = EfficientFormerImageProcessor(size={"shortest_edge": SIZE}, do_center_crop=False)
    photos.paths[3].write_bytes(b"no picture")
    found = list(evaluation_batches(photos, processor, batch_size=6, unreadable="skip"))
    alone = list(evaluation_batches(photos, processor, batch_size=1, unreadable="skip"))
    assert len({batch.x.shape[1:] for batch in found if len(batch.x)}) > 1
    images = [[image for batch in some for image in batch.x] for some in (found, alone)]
    assert [image.shape for image in images[0]] == [image.shape for image in images[1]]
    for a, b in zip(*images, strict=True):
        np.testing.assert_array_equal(a, b)
    labels = np.concatenate([batch.labels for batch in found])
    assert labels.tolist() == [0] * 5 + [1] * 6
    assert sum(len(batch.unreadable) for batch in found) == 1


def test_a_wrong_word_does_not_leave_files_out(photos: Photographs) -> None:
    with pytest.raises(ConfigError, match="unreadable is 'Refuse'; expected 'refuse' or 'skip'"):
        batches(photos, unreadable="Refuse")


def test_without_threads_files_are_read_here(monkeypatch: pytest.MonkeyPatch) -> None:
    def limited(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", limited)
    assert list(map_in_order(lambda i: i * i, range(9), None, ahead=4)) == [i * i for i in range(9)]
