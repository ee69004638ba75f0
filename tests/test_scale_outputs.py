"""Tables of many photographs: whole at any moment, and continued where a run stopped."""

from __future__ import annotations

import csv
import io
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import npformer
from npformer.commands import main as cli
from npformer.commands.many import Progress
from npformer.errors import ConfigError, MissingPackage
from npformer.scale import outputs
from npformer.scale.identity import fingerprint
from npformer.scale.outputs import open_output
from npformer.scale.parts import RUN, part_name
from npformer.scale.paths import Paths
from npformer.scale.pipeline import Row
from npformer.scale.run import Written, write
from npformer.scale.run import run as run_task
from npformer.scale.tables import AnswerTable, FeatureTable
from npformer.scale.task import Task, answers, features

IMAGES = Path(__file__).parents[1] / "notebooks" / "images"
COFFEE = str(IMAGES / "coffee.png")


def has_pyarrow() -> bool:
    try:
        import pyarrow  # noqa: F401
    except ImportError:
        return False
    return True


parquet = pytest.mark.skipif(not has_pyarrow(), reason="pyarrow is not installed")
FORMATS = ["csv", "jsonl", pytest.param("parquet", marks=parquet)]


@pytest.fixture(scope="module")
def tiny() -> npformer.Classifier:
    return npformer.load("tiny")


class Stand:
    """A classifier with quick answers, which are read off the names of the photographs."""

    labels = ("zero", "one", "two")

    def __init__(self, model: npformer.Classifier) -> None:
        self.model, self.config, self.processor = model.model, model.config, model.processor
        self.params = model.params

    def preprocess(self, image: str, decode: str) -> np.ndarray:
        if "bad" in image:
            raise npformer.ImageError(f'{image}: no picture,\nin "two" lines')
        return np.full((1, 1, 1), float(image.split("/")[-1].split(".")[0]), np.float32)

    def predict(self, x: np.ndarray, top: int) -> list[npformer.Predictions]:
        made = npformer.Prediction
        return [
            npformer.Predictions(
                made(self.labels[(int(v) + k) % 3], float(np.float32(v) / 7), (int(v) + k) % 3)
                for k in range(top)
            )
            for v in x[:, 0, 0, 0]
        ]


@pytest.fixture
def task(tiny: npformer.Classifier) -> Task:
    return answers(Stand(tiny), top=2)  # type: ignore[arg-type]


NAMES = [f"a/{i}.jpg" for i in range(40)]
NAMES[3] = NAMES[4] = NAMES[17] = "a/bad.jpg"


def content(path: Path) -> Any:
    """Everything that is in a table."""
    if path.suffix != ".parquet":
        return path.read_bytes()
    import pyarrow.parquet as pq

    return pq.read_table(path).to_pylist()


def cells(path: Path) -> list[dict[str, Any]]:
    """The rows of a table in CSV."""
    return list(csv.DictReader(io.StringIO(path.read_bytes().decode("utf-8"), newline="")))


@pytest.mark.parametrize("kind", FORMATS)
def test_what_is_in_a_table(tiny: npformer.Classifier, tmp_path: Path, kind: str) -> None:
    bad = tmp_path / "bad.jpg"
    bad.write_text("no picture")
    images = Paths([str(bad), COFFEE, str(tmp_path / "gone.jpg")])
    found = write(answers(tiny, top=2), images, str(tmp_path / f"t.{kind}"))
    assert found == Written(str(tmp_path / f"t.{kind}"), 3, 2, 0)
    first, second = tiny.classify(COFFEE, top=2)
    path = tmp_path / f"t.{kind}"
    if kind == "jsonl":
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        assert rows[1] == {"image": COFFEE, "predictions": [first._asdict(), second._asdict()]}
        errors = [row.get("error") for row in rows]
    else:
        rows = content(path) if kind == "parquet" else cells(path)
        assert list(rows[1]) == [
            "image", "label", "score", "index", "label_2", "score_2", "index_2", "error"
        ]  # fmt: skip
        assert rows[1]["label"] == first.label
        assert float(rows[1]["score_2"]) == second.score
        assert int(rows[1]["index_2"]) == second.index
        assert not rows[0]["label"]
        errors = [row["error"] or None for row in rows]
    assert [row["image"] for row in rows] == list(images)
    assert errors[1] is None
    assert errors[0].startswith(f"{bad}: this is ")
    assert errors[2] == f"{tmp_path / 'gone.jpg'}: No such file or directory"


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("kind", FORMATS)
def test_features(tiny: npformer.Classifier, tmp_path: Path, kind: str, dtype: str) -> None:
    path = tmp_path / f"t.{kind}"
    write(features(tiny, dtype), Paths(["gone.jpg", COFFEE]), str(path))
    exact = tiny.features(tiny.preprocess(COFFEE)[None])[0]
    np.testing.assert_allclose(exact, tiny.trace(COFFEE)["pooled"][0], rtol=1e-4, atol=1e-5)
    expected = exact.astype(dtype)
    assert expected.shape == (256,)
    if kind == "csv":
        _, row = cells(path)
        found = [row[f"feature_{i}"] for i in range(256)]
    elif kind == "jsonl":
        found = json.loads(path.read_text().splitlines()[1])["features"]
    else:
        import pyarrow.parquet as pq

        table = pq.read_table(path)
        assert str(table.schema.field("features").type.value_type) in (dtype, "halffloat", "float")
        assert table["features"].type.list_size == 256
        assert table["features"][0].as_py() is None
        found = table["features"][1].as_py()
    np.testing.assert_array_equal(np.array(found, dtype), expected)


@pytest.mark.parametrize("stop", [1, 4, 7, 8, 39])
@pytest.mark.parametrize("kind", FORMATS)
def test_an_interrupted_run_is_continued(
    task: Task, tmp_path: Path, kind: str, stop: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outputs.Lines, "most", 3)
    monkeypatch.setattr(outputs.ParquetFolder, "most", 3)
    images, path, whole = Paths(NAMES), tmp_path / f"t.{kind}", tmp_path / f"whole.{kind}"
    write(task, images, str(whole))

    def interrupt(done: int, errors: Sequence[str]) -> None:
        if done == stop:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write(task, images, str(path), callback=interrupt)
    seen: list[int] = []
    found = write(task, images, str(path), callback=lambda done, _: seen.append(done))
    assert found == Written(str(path), 40, 3, stop)  # nothing that was computed is lost
    assert seen == list(range(stop, 41))
    assert content(path) == content(whole)
    again = write(task, images, str(path))
    assert again == Written(str(path), 40, 3, 40)
    assert content(path) == content(whole)


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
@pytest.mark.parametrize("left", [b"", b"a/6.jpg,o", b"a/6.jpg,zero,0.8\na/7.jpg,one,1\n"])
def test_lines_of_a_killed_run_that_do_not_count_are_cut_off(
    task: Task, tmp_path: Path, kind: str, left: bytes
) -> None:
    images, path, whole = Paths(NAMES), tmp_path / f"t.{kind}", tmp_path / f"whole.{kind}"
    write(task, images, str(whole))
    out = open_output(str(path), task.table, task.identity(images))
    out.write([Row(name, task.ask(task.read(name)[None])[0]) for name in NAMES[:3]])  # type: ignore[index]
    out.close()
    with path.open("ab") as file:
        file.write(left)
    assert write(task, images, str(path)).before == 3
    assert content(path) == content(whole)


@parquet
def test_what_a_killed_run_left_of_a_part_is_removed(task: Task, tmp_path: Path) -> None:
    images, path = Paths(NAMES), tmp_path / "t.parquet"
    out = open_output(str(path), task.table, task.identity(images))
    out.write(list(run_task(task, Paths(NAMES[:1]))))
    out.close()
    (path / f".{part_name(1)}.{16 * '0'}").write_bytes(b"half")
    write(task, images, str(path))
    assert sorted(os.listdir(path)) == [RUN, part_name(0), part_name(1)]
    assert [row["image"] for row in content(path)] == NAMES
    assert sum(row["error"] is not None for row in content(path)) == 3


@parquet
def test_parts_are_one_table_for_its_readers(
    task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also if the first has only errors, which would not tell the types of its columns."""
    import pyarrow as pa
    import pyarrow.dataset

    monkeypatch.setattr(outputs.Lines, "most", 2)
    monkeypatch.setattr(outputs.ParquetFolder, "most", 2)
    path = tmp_path / "t.parquet"
    write(task, Paths(["bad", "bad", *NAMES]), str(path))
    table = pyarrow.dataset.dataset(path).to_table()
    assert len(os.listdir(path)) == 22
    assert table.schema == task.table.schema()
    assert table.schema.field("score").type == pa.float32()
    assert table["label"].null_count == 5
    pandas = pytest.importorskip("pandas")
    assert len(pandas.read_parquet(path)) == 42


@parquet
def test_a_missing_or_damaged_part_is_refused(
    task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outputs.Lines, "most", 10)
    monkeypatch.setattr(outputs.ParquetFolder, "most", 10)
    images, path = Paths(NAMES), tmp_path / "t.parquet"
    write(task, images, str(path))
    part = path / part_name(10)
    part.write_bytes(part.read_bytes()[:100])
    with pytest.raises(ConfigError, match=r"part-000000000010\.parquet: damaged .* delete it"):
        write(task, images, str(path))
    part.unlink()
    with pytest.raises(ConfigError, match=r"row 10 is missing, but later ones are there.*--dask"):
        write(task, images, str(path))


@pytest.mark.parametrize("kind", FORMATS)
def test_another_run_is_refused_in_words(
    tiny: npformer.Classifier, task: Task, tmp_path: Path, kind: str
) -> None:
    path = str(tmp_path / f"t.{kind}")
    write(task, Paths(NAMES[:5]), path)
    other = npformer.load("tiny", image_size=96)
    plain = npformer.load("tiny", engine="numpy")
    for changed, names, words in (
        (task, NAMES[:6], "the number of photographs: 5 then, 6 now"),
        (task, NAMES[1:6], "the list of photographs: "),
        (answers(task.model, 3), NAMES[:5], "top: 2 then, 3 now"),
        (answers(task.model, 2, "fast"), NAMES[:5], "decode: exact then, fast now"),
        (features(task.model), NAMES[:5], "what is written: answers then, features now"),
        (answers(other, 2), NAMES[:5], r"the model \(its weights, "),
        (answers(plain, 2), NAMES[:5], "engine: auto then, numpy now"),
    ):
        with pytest.raises(ConfigError, match=f"begun by another run.*{words}.*delete the output"):
            write(changed, Paths(names), path)
    assert write(task, Paths(NAMES[:5]), path).before == 5  # it was left as it is


def test_a_model_is_known_by_what_it_computes(tiny: npformer.Classifier, tmp_path: Path) -> None:
    tiny.model.save_pretrained(tmp_path / "copy", processor=tiny.processor.to_dict())
    assert fingerprint(npformer.load(tmp_path / "copy")) == fingerprint(tiny)
    changed = npformer.EfficientFormerImageProcessor(size={"shortest_edge": 140}, crop_size=128)
    assert fingerprint(npformer.Classifier(tiny.model, changed)) != fingerprint(tiny)
    one, other = (type(tiny.model)(tiny.config, seed=seed) for seed in (1, 2))
    assert fingerprint(npformer.Classifier(one, changed)) != fingerprint(
        npformer.Classifier(other, changed)
    )


@pytest.mark.parametrize("kind", FORMATS)
def test_what_npformer_did_not_write_is_left_alone(task: Task, tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"t.{kind}"
    path.write_text("of somebody else")
    with pytest.raises(ConfigError, match="choose another name"):
        write(task, Paths(NAMES), str(path))
    assert path.read_text() == "of somebody else"
    if kind == "parquet":
        path.unlink()
        path.mkdir()
        (path / "theirs.parquet").write_text("of somebody else")
        with pytest.raises(ConfigError, match=r"'theirs\.parquet' but without _npformer\.json"):
            write(task, Paths(NAMES), str(path))


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.skipif(os.name != "posix", reason="locks of POSIX")
def test_a_second_process_does_not_write_the_same_output(
    task: Task, tmp_path: Path, kind: str
) -> None:
    path, images = str(tmp_path / f"t.{kind}"), Paths(NAMES)
    out = open_output(path, task.table, task.identity(images))
    with pytest.raises(ConfigError, match="another process is writing it"):
        write(task, images, path)
    out.close()
    assert write(task, images, path).photographs == 40


def test_lost_lines_are_noticed(task: Task, tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    write(task, Paths(NAMES), str(path))
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(ConfigError, match=r"t\.csv: has .* bytes, but .* were written"):
        write(task, Paths(NAMES), str(path))
    path.unlink()  # whoever deletes it begins again
    assert write(task, Paths(NAMES), str(path)).before == 0


@pytest.mark.parametrize("kind", FORMATS)
def test_odd_names_and_numbers_are_written(task: Task, tmp_path: Path, kind: str) -> None:
    odd = npformer.Prediction("one", float("nan"), 1)
    found = [Row('not UTF-8 \udcff,\n".jpg', npformer.Predictions([odd, odd]))]
    path = tmp_path / f"t.{kind}"
    out = open_output(str(path), task.table, task.identity(Paths(["1"])))
    out.write(found)
    out.close()
    if kind == "csv":
        (row,) = cells(path)
        assert row["image"] == 'not UTF-8 \\udcff,\n".jpg'
    elif kind == "jsonl":
        row = json.loads(path.read_text("utf-8"))
        assert row["image"] == found[0].image
        assert row["predictions"][0]["score"] is None
    else:
        (row,) = content(path)
        assert row["image"] == 'not UTF-8 \\udcff,\n".jpg'
        assert np.isnan(row["score"])


def test_more_answers_than_classes_are_all(tiny: npformer.Classifier) -> None:
    task = answers(tiny, top=10**6)
    assert isinstance(task.table, AnswerTable)
    assert task.table.top == 200
    assert isinstance(features(tiny).table, FeatureTable)


# The commands


def run(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    code = cli.main([str(word) for word in words])
    out, err = capsys.readouterr()
    return code, out, err


def test_commands_write_tables(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path, bad = tmp_path / "t.csv", tmp_path / "bad.png"
    bad.write_text("no picture")
    code, out, err = run(capsys, "classify", bad, IMAGES, "--output", path)
    assert (code, out) == (1, f"{path}: 5 photographs; 1 could not be read\n")
    assert err.count(str(bad)) == 1
    assert "left out: 1 file of kinds not read (.md)" in err
    code, out, _ = run(capsys, "classify", bad, IMAGES, "--output", path)
    assert out == f"{path}: 5 photographs, of which 5 were there; 1 could not be read\n"
    code, out, err = run(capsys, "classify", IMAGES, "--output", path, "--top", 1)
    assert (code, out) == (1, "")
    assert "begun by another run" in err
    vectors = tmp_path / "v.jsonl"
    code, out, _ = run(capsys, "embed", IMAGES, "--output", vectors, "--dtype", "float16")
    assert (code, out) == (0, f"{vectors}: 4 photographs\n")
    assert len(vectors.read_text().splitlines()) == 4


@pytest.mark.case(93)
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("classify", COFFEE, "--output", "answers.xls"), ".parquet, .csv, .jsonl"),
        (("embed", COFFEE), "--output"),
        (("classify", COFFEE, "--decode", "quick"), "exact"),
        (("classify", ""), "an argument is empty"),
        (("classify", "-", "-"), "- is given twice"),
    ],
)
def test_wrong_usage_exits_2(
    capsys: pytest.CaptureFixture[str], words: tuple[str, ...], said: str
) -> None:
    code, out, err = run(capsys, *words)
    assert (code, out) == (2, "")
    assert said in err


def test_without_pyarrow_the_extra_is_named(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingPackage, match=r'pip install "npformer\[parquet\]"'):
        outputs.check_output("t.parquet")
    code, _, err = run(capsys, "classify", COFFEE, "--output", tmp_path / "t.parquet")
    assert code == 1
    assert "npformer[parquet]" in err
    assert not (tmp_path / "t.parquet").exists()


def test_an_output_that_cannot_be_written_is_named(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    code, _, err = run(capsys, "classify", COFFEE, "--output", tmp_path / "no" / "t.csv")
    assert code == 1
    assert str(tmp_path / "no") in err
    assert "Traceback" not in err


@pytest.mark.case(94)
@pytest.mark.parametrize("kind", FORMATS)
def test_after_ctrl_c_a_table_is_whole_and_is_continued(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    folder, path = tmp_path / "in", tmp_path / f"t.{kind}"
    folder.mkdir()
    for i in range(60):
        os.symlink(COFFEE, folder / f"{i:02}.png")
    whole = tmp_path / f"whole.{kind}"
    assert run(capsys, "classify", folder, "--output", whole)[0] == 0

    def interrupt(progress: Progress, done: int, errors: list[str]) -> None:
        if done == 30:
            raise KeyboardInterrupt  # as Python does for the signal

    with monkeypatch.context() as patch:
        patch.setattr(Progress, "report", interrupt)
        code, _, err = run(capsys, "classify", folder, "--output", path)
    assert (code, err) == (130, "npformer: interrupted\n")
    assert content(path) == content(whole)[: len(content(path))]
    code, out, _ = run(capsys, "classify", folder, "--output", path)
    assert (code, out) == (0, f"{path}: 60 photographs, of which 30 were there\n")
    assert content(path) == content(whole)
