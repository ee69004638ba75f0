"""Many machines: a cluster of several processes, stores that fsspec knows, and lost workers."""

from __future__ import annotations

import functools
import os
import shutil
import signal
import threading
from collections.abc import Iterator, Sequence
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

import npformer
from npformer import scale
from npformer.commands import main as cli
from npformer.errors import ConfigError, ImageError, MissingPackage
from npformer.scale import cluster
from npformer.scale.parts import RUN, Part, Parts, gaps

distributed = pytest.importorskip("distributed")
pytest.importorskip("dask.dataframe")
pq = pytest.importorskip("pyarrow.parquet")
fsspec = pytest.importorskip("fsspec")

IMAGES = Path(__file__).parents[1] / "notebooks" / "images"
NAMES = ("astronaut.png", "cat.png", "coffee.png", "rocket.jpg")


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    """Two processes of one thread each, which are started again when they are lost."""
    before = dict(os.environ)
    local = distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None)
    with local, distributed.Client(local) as found:
        yield found
    os.environ.clear()  # it leaves OMP_NUM_THREADS=1 behind
    os.environ.update(before)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "in"
    place.mkdir()
    for i in range(90):
        os.symlink(IMAGES / NAMES[i % 4], place / f"{i:02}{Path(NAMES[i % 4]).suffix}")
    (place / "50.jpg").unlink(missing_ok=True)
    (place / "50.jpg").write_text("no picture")
    return place


def records(place: Path) -> list[dict[str, Any]]:
    """The rows of a Parquet folder; pyarrow reads its files in the order of their names."""
    found: list[dict[str, Any]] = pq.read_table(place).to_pylist()
    return found


def test_a_few_photographs_occupy_all_threads_and_many_make_no_large_tasks() -> None:
    assert cluster._part_size(91, 2) == 6
    assert cluster._part_size(3, 64) == 1
    assert cluster._part_size(10**6, 2) == cluster.PART


def test_gaps_between_parts() -> None:
    assert gaps([], 0, 5) == []
    assert gaps([], 12, 5) == [(0, 5), (5, 10), (10, 12)]
    assert gaps([Part(0, 12, 0)], 12, 5) == []
    assert gaps([Part(3, 2, 0), Part(5, 1, 0)], 14, 5) == [(0, 3), (6, 11), (11, 14)]


def test_a_cluster_writes_what_one_process_writes(
    client: Any, folder: Path, tmp_path: Path
) -> None:
    alone, together = tmp_path / "alone.parquet", tmp_path / "together.parquet"
    scale.classify(folder, output=alone, top=2)
    told: list[str] = []
    done: list[int] = []

    def callback(rows: int, errors: Sequence[str]) -> None:
        done.append(rows)
        told.extend(errors)

    found = scale.classify(folder, output=together, top=2, client=client, callback=callback)
    assert found == (str(together), 91, 1, 0)
    assert records(together) == records(alone)
    assert pq.read_table(together).schema == pq.read_table(alone).schema
    assert len(list(together.glob("part-*"))) == 16
    assert done[0] == 0
    assert done[-1] == 91
    assert len(told) == 1
    assert told[0].startswith(str(folder / "50.jpg"))
    again = scale.classify(folder, output=together, top=2, client=client)
    assert again == (str(together), 91, 1, 91)
    with pytest.raises(ConfigError, match=r"begun by another run.*top: 2 then, 3 now"):
        scale.classify(folder, output=together, top=3, client=client)
    # What a cluster left unfinished, and what one process did, the other continues.
    _, second, *_, last = sorted(together.glob("part-*"))
    second.unlink()
    with pytest.raises(ConfigError, match=r"row 6 is missing.*--dask"):
        scale.classify(folder, output=together, top=2)
    assert scale.classify(folder, output=together, top=2, client=client).before == 85
    last.unlink()
    assert scale.classify(folder, output=together, top=2).before == 90
    assert records(together) == records(alone)


def test_the_work_of_a_killed_worker_is_done_again(
    client: Any, folder: Path, tmp_path: Path
) -> None:
    place = tmp_path / "t.parquet"
    killed: list[int] = []

    def kill_one(done: int, errors: Sequence[str]) -> None:
        if done and not killed:
            pids = client.run(os.getpid)
            killed.append(next(iter(pids.values())))
            os.kill(killed[0], signal.SIGKILL)

    found = scale.embed(folder, output=place, dtype="float16", client=client, callback=kill_one)
    assert killed
    assert found == (str(place), 91, 1, 0)
    rows = records(place)
    assert [row["image"] for row in rows] == sorted(map(str, folder.iterdir()))
    alone = tmp_path / "alone.parquet"
    scale.embed(folder, output=alone, dtype="float16")
    assert rows == records(alone)
    left = {path.name for path in place.iterdir() if not path.name.startswith("part-")}
    assert RUN in left
    assert all(name.startswith(".part-") for name in left - {RUN})  # cleared away by the next run


def test_answers_as_a_frame(client: Any, folder: Path) -> None:
    frame = scale.classify(folder, top=1, client=client)
    found = frame.compute()
    expected = list(scale.classify(folder, top=1))
    assert found["image"].tolist() == [row.image for row in expected]
    assert found["label"].iloc[0] == expected[0].answer[0].label
    assert found["index"].dropna().tolist() == [r.answer[0].index for r in expected if r.answer]
    assert found["error"].notna().sum() == 1
    assert (frame.dtypes == found.dtypes).all()


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def store(tmp_path: Path) -> Iterator[str]:
    """A store that answers by HTTP."""
    root = tmp_path / "store"
    root.mkdir()
    for name in NAMES:
        shutil.copy(IMAGES / name, root / f"é {name}")
    (root / "notes.txt").write_text("no picture")
    handler = functools.partial(Quiet, directory=str(root))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def test_photographs_of_a_store(client: Any, store: str, tmp_path: Path) -> None:
    pytest.importorskip("aiohttp")
    words = [store, f"{store}gone.png"]
    with pytest.warns(UserWarning, match=r"left out: 1 file of kinds not read \(\.txt\)"):
        *rows, gone = scale.classify(words, top=1)
    assert len(rows) == 4
    expected = [npformer.classify(str(IMAGES / name), top=1) for name in NAMES]
    assert [row.answer for row in rows] == expected
    assert gone.answer is None
    assert f"{store}gone.png" in gone.error
    place = tmp_path / "t.parquet"
    with pytest.warns(UserWarning, match="left out"):
        scale.classify(words, top=1, client=client, output=place)
    assert [r["label"] for r in records(place)] == [*(e[0].label for e in expected), None]


def test_a_store_takes_the_parts(folder: Path) -> None:
    """Played by fsspec's memory, as S3 would."""
    address = "memory://bucket/t.parquet"
    found = scale.classify(folder, output=address, top=1)
    assert (found.photographs, found.unreadable) == (91, 1)
    assert [(part.first, part.rows, part.unreadable) for part in Parts(address).found()] == [
        (0, 91, 1)
    ]
    assert scale.classify(folder, output=address, top=1).before == 91
    with pytest.raises(ConfigError, match="begun by another run"):
        scale.classify(folder, output=address, top=2)
    files = fsspec.filesystem("memory")
    files.pipe_file("/other.parquet/theirs", b"")
    with pytest.raises(ConfigError, match="'theirs' but without"):
        scale.classify(folder, output="memory://other.parquet", top=1)
    files.pipe_file(f"/in/{NAMES[1]}", (IMAGES / NAMES[1]).read_bytes())
    (row,) = scale.classify("memory://in/*.png", top=1)
    assert row.answer == npformer.classify(str(IMAGES / NAMES[1]), top=1)
    files.rm("/", recursive=True)


def run(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    code = cli.main([str(word) for word in words])
    out, err = capsys.readouterr()
    return code, out, err


def test_the_commands_use_a_cluster(
    capsys: pytest.CaptureFixture[str], client: Any, folder: Path, tmp_path: Path
) -> None:
    address = client.scheduler.address
    place = tmp_path / "t.parquet"
    code, out, err = run(capsys, "embed", folder, "--output", place, "--dask", address)
    assert (code, out) == (1, f"{place}: 91 photographs; 1 could not be read\n")
    assert err.count("npformer: ") == 1
    code, _, err = run(capsys, "classify", folder, "--dask", address)
    assert code == 2
    assert "--output FILE.parquet" in err
    code, _, err = run(capsys, "classify", folder, "--output", "t.csv", "--dask", address)
    assert code == 2
    with pytest.raises(ConfigError, match=r"expected a name that ends in \.parquet"):
        scale.classify(folder, output="t.csv", client=client)


def test_odd_addresses_are_named(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, _, err = run(capsys, "classify", "nonsense://bucket/1.jpg")
    assert code == 1
    assert "nonsense" in err
    assert "s3://bucket/1.jpg" in err
    with pytest.raises(ImageError, match="no photographs found"):
        scale.classify([])
    for wrong, words in (({"top": 0}, "top is 0"), ({"batch_size": 0}, "batch_size is 0"),
                         ({"decode": "quick"}, "decode is 'quick'")):  # fmt: skip
        with pytest.raises(ConfigError, match=words):
            scale.classify(IMAGES / "cat.png", **wrong)
    with pytest.raises(ConfigError, match="dtype is 'int8'"):
        scale.embed(IMAGES / "cat.png", dtype="int8")


def test_without_dask_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "distributed", None)
    with pytest.raises(MissingPackage, match=r'pip install "npformer\[dask\]"'):
        cluster.connect("tcp://127.0.0.1:1")
