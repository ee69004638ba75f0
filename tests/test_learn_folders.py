"""Which folders are classes: what is put in a wrong place is refused or told."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from photo_cases import network, photographs
from PIL import Image

from npformer.errors import ConfigError
from npformer.images.files import photographs_below
from npformer.learn import NONE, DataError, Recipe, evaluate, find_photographs, fit
from npformer.learn.class_folders import split

RECIPE = Recipe(epochs=1, batch_size=4, augmentation=NONE)


@pytest.fixture(autouse=True)
def no_curves(monkeypatch: pytest.MonkeyPatch) -> None:
    def draw(history: Any, path: Path) -> None:
        Image.new("RGB", (8, 8)).save(path)

    monkeypatch.setattr("npformer.learn.curves.draw", draw)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return network(tmp_path / "model")


def test_folders_and_hidden_names_are_no_photographs(tmp_path: Path) -> None:
    root = photographs(tmp_path / "a", 1)
    (root / "lime" / "trip.png").mkdir()
    (root / "lime" / "trip.png" / "inside.png").write_bytes(b"")
    (root / "lime" / ".cache").mkdir()
    (root / "lime" / ".cache" / "small.png").write_bytes(b"")
    (root / "lime" / "._0.png").write_bytes(b"")
    names = [str(path.relative_to(root)) for path in photographs_below(root)]
    assert names == [
        os.path.join("lime", "0.png"),
        os.path.join("lime", "trip.png", "inside.png"),
        os.path.join("plum", "0.png"),
    ]


def test_a_folder_that_cannot_be_read_is_told(tmp_path: Path, monkeypatch: Any) -> None:
    root = photographs(tmp_path / "a", 1)
    scan = os.scandir

    def refuse(place: Any) -> Any:
        if str(place).endswith("plum"):
            raise PermissionError(13, "Permission denied", str(place))
        return scan(place)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.warns(UserWarning, match="plum: left out: Permission denied"):
        assert photographs_below(root) == [root / "lime" / "0.png"]


def test_a_training_among_the_classes_is_no_class(tmp_path: Path, model: Path) -> None:
    root = photographs(tmp_path / "photos")
    out = root / "trained"
    first = fit(root, out, RECIPE, model=model, engine="numpy")
    again = fit(root, out, RECIPE, model=model, engine="numpy", resume=True)
    assert again.history == first.history
    with pytest.warns(UserWarning, match="trained: holds a network and is no class; left out"):
        assert find_photographs(root).classes == ("lime", "plum")
    with pytest.warns(UserWarning, match="trained: holds a network"):
        assert evaluate(root, out, engine="numpy").images == 12


def test_an_empty_folder_for_results_is_no_class_either(tmp_path: Path, model: Path) -> None:
    root = photographs(tmp_path / "photos")
    (root / "trained").mkdir()
    fitted = fit(root, root / "trained", RECIPE, model=model, val=root, engine="numpy")
    assert len(fitted.history) == 1


def test_results_inside_a_class_are_refused(tmp_path: Path, model: Path) -> None:
    root = photographs(tmp_path / "photos")
    with pytest.raises(ConfigError, match=r"lime, which is a class; expected a folder elsewhere"):
        fit(root, root / "lime" / "result", RECIPE, model=model)
    with pytest.raises(ConfigError, match="which is a class"):
        fit(root, root / "lime" / ".." / "plum" / "a" / "b", RECIPE, model=model)
    with pytest.raises(FileExistsError, match="not empty"):
        fit(root, root / "lime", RECIPE, model=model)
    assert sorted(path.name for path in root.iterdir()) == ["lime", "plum"]


def test_one_class_teaches_nothing(tmp_path: Path) -> None:
    root = photographs(tmp_path / "photos", 1, ("lime",))
    with pytest.raises(DataError, match="'lime' is the only class; expected sub-folders for two"):
        find_photographs(root)
    assert find_photographs(root, ["lime", "plum"]).labels.tolist() == [0]


def test_the_folder_above_is_asked_about(tmp_path: Path) -> None:
    photographs(tmp_path / "photos", 1)
    with pytest.raises(DataError, match=r"or is .*photos meant, with 'lime', 'plum'\?"):
        find_photographs(tmp_path)
    with pytest.raises(DataError, match=r"or is .*photos meant, with 'lime', 'plum'\?"):
        find_photographs(tmp_path, ["lime", "plum"])


def test_the_folder_below_is_asked_about(tmp_path: Path) -> None:
    root = photographs(tmp_path / "photos", 2)
    with pytest.raises(DataError, match=r"no sub-folders but 2 photographs; is .*photos meant\?"):
        find_photographs(root / "lime")


@pytest.mark.parametrize("names", [("Train", "test"), ("training", "validation")])
def test_parts_of_a_data_set_are_no_classes(tmp_path: Path, names: tuple[str, str]) -> None:
    for name in names:
        photographs(tmp_path / name, 1)
    with pytest.raises(DataError, match="looks like a part of a data set"):
        find_photographs(tmp_path)


def test_a_part_beside_the_classes_is_none(tmp_path: Path) -> None:
    root = photographs(tmp_path / "photos", 1)
    photographs(root / "valid", 1)
    with pytest.raises(DataError, match="'valid' would be learned as a class"):
        find_photographs(root)


def test_photographs_without_sub_folders_in_parts(tmp_path: Path) -> None:
    photographs(tmp_path, 1, ("lime",))
    for name in ("train", "val"):
        (tmp_path / "lime").rename(tmp_path / name)
        photographs(tmp_path, 1, ("lime",))
    os.remove(tmp_path / "lime" / "0.png")
    (tmp_path / "lime").rmdir()
    with pytest.raises(DataError, match="looks like a part of a data set"):
        find_photographs(split(tmp_path, None)[0])


@pytest.mark.parametrize("name", ["valid", "validation", "Val"])
def test_another_name_for_validation_is_told(tmp_path: Path, name: str) -> None:
    for part in ("train", name):
        photographs(tmp_path / part, 1)
    if name == "Val" and (tmp_path / "val").is_dir():
        return  # some file systems ignore case
    with pytest.warns(UserWarning, match=rf"{name}: not used; .* \(--val .*{name}\)"):
        assert split(tmp_path, None) == (tmp_path / "train", None)
    assert split(tmp_path, tmp_path / name) == (tmp_path / "train", tmp_path / name)


def test_photographs_without_a_class_are_told(tmp_path: Path) -> None:
    root = photographs(tmp_path / "photos", 1)
    (root / "alone.png").write_bytes(b"")
    with pytest.warns(UserWarning, match=r"1 photographs .* such as alone.png, belong to no class"):
        assert len(find_photographs(root).paths) == 2


def test_classes_one_level_too_high_are_told(tmp_path: Path) -> None:
    for site in ("north", "south"):
        photographs(tmp_path / site, 1)
    with pytest.warns(UserWarning, match="'north', 'south', but all photographs are further below"):
        assert find_photographs(tmp_path).classes == ("north", "south")


def test_a_class_without_validation_is_told(tmp_path: Path, model: Path) -> None:
    root = photographs(tmp_path / "photos")
    val = photographs(tmp_path / "val", 1, ("lime",))
    with pytest.warns(UserWarning, match=r"no photographs of 'plum': 1 of the 2 classes"):
        fit(root, tmp_path / "out", RECIPE, model=model, val=val, engine="numpy")
