"""The published models: fetched from the Hugging Face Hub and checked against their SHA-256.

    "l1", "l3", "l7"    the manifest (``weights/manifest.json``) records the repository, the
                        revision and the hash of the weights; any other file is refused
    "owner/name"        any repository with an EfficientFormer; nobody has recorded what its weights
                        should be, so their hash is reported, and any hash is accepted

The package huggingface_hub transfers the files (`npformer.files.repository`). It does not hash what
it finds in its cache. This module does, every time: 0.04 s for L1, less than reading the file
takes, and no record of an earlier check that could be out of date.
"""

from __future__ import annotations

import hashlib
import json
import logging
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from ..errors import MissingWeights, OfflineError, WeightsError
from ..files.names import CONFIG_NAME, INDEX_SUFFIX, PROCESSOR_NAME, WEIGHTS_OR_LISTS
from ..files.repository import USUAL, Download, Source, huggingface_hub, is_repository
from ..files.shipped import shipped
from .weights_file import shards

_CHUNK = 1 << 20

_log = logging.getLogger(__name__)


class Fetched(NamedTuple):
    """What is in the cache."""

    folder: Path
    """contains the configurations of network and processor, and the weights"""
    weights: Path
    """the file, or the list of the files over which they are distributed"""
    repository: str
    commit: str
    sha256: str
    """of the weights; if there are several files, of all that is in them, one after another"""
    size: int
    """of the weights, in bytes"""
    published_as: str | None
    """where a file with this hash was published; None if the hash is not in the manifest"""


@cache
def manifest() -> dict[str, dict[str, Any]]:
    """Return what is known about each named model: source, size, hashes, license, accuracy."""
    text = shipped("manifest.json").read_text(encoding="utf-8")
    facts: dict[str, dict[str, Any]] = json.loads(text)
    return facts


def is_hub_name(name: str) -> bool:
    """Whether `name` is a published model or has the form ``owner/name``."""
    facts = manifest().get(name)
    return bool(facts["repository"]) if facts else is_repository(name)


def locate(name: str, download: Download = USUAL) -> Path:
    """Return the folder of a model, downloading it if it is not in the cache.

    Parameters
    ----------
    name : str
        ``"l1"``, ``"l3"``, ``"l7"`` or ``"owner/name"``.
    download : Download
        If the revision is not the manifest's of a published model, or a subfolder is named, no hash
        is required.

    Returns
    -------
    Path
        Folder with ``config.json``, weights and usually ``preprocessor_config.json``.

    Raises
    ------
    OfflineError
        If files are not in the cache and cannot be downloaded.
    WeightsError
        If the weights are not the published ones.
    MissingWeights
        If the repository has no configuration or no weights.
    """
    found = fetch(name, download)
    if found.published_as is None:
        _log.warning(
            "%s at %s: nobody has recorded what %s should be; this one has sha256 %s",
            found.repository, found.commit[:7], found.weights.name, found.sha256,
        )  # fmt: skip
    return found.folder


def fetch(name: str, download: Download = USUAL, *, refresh: bool = False) -> Fetched:
    """Download a model as `locate` does, and return all that is known about its files.

    Parameters
    ----------
    name, download
        As in `locate`.
    refresh : bool
        Whether to ask the hub if a branch or tag has moved since it was downloaded.

    Returns
    -------
    Fetched

    Raises
    ------
    OfflineError, WeightsError, MissingWeights
        As in `locate`.
    """
    source = _source(name, download)
    hub = huggingface_hub(name)

    folder = None if download.force_download else _cached(hub, source)
    found = _identify(source, folder) if folder else None
    if found and _accepted(source, found) and not (refresh and not source.sha256):
        return found
    if download.local_files_only:
        raise _refused(source, found) if found else OfflineError(source.offline(hub))
    damaged = found is not None and not _accepted(source, found)
    try:
        found = _identify(source, _download(hub, source, anew=damaged))
    except OfflineError as error:
        raise (_refused(source, found) if found and damaged else error) from error
    if not _accepted(source, found):
        _remove(found.weights)
        raise _refused(source, found)
    return found


def _source(name: str, download: Download) -> Source:
    facts = manifest().get(name, {})
    repository, revision = facts.get("repository", name), download.revision
    if facts and revision in (None, facts["revision"]) and not download.subfolder:
        weights, sha256 = (facts["file"],), tuple(facts["sha256"])
        return Source(name, repository, facts["revision"], download, weights, sha256, True)
    return Source(
        name, repository, revision or "main", download, WEIGHTS_OR_LISTS, known=bool(facts)
    )


def _cached(hub: ModuleType, source: Source) -> Path | None:
    """Return the folder in the cache if it contains everything needed."""
    config, processor = (source.cached(hub, name) for name in (CONFIG_NAME, PROCESSOR_NAME))
    found = (source.cached(hub, name) for name in source.weights)
    weights = next((Path(path) for path in found if isinstance(path, str)), None)
    # Without the processor's configuration, a model would see wrongly resized images.
    known = isinstance(processor, str) or processor is hub._CACHED_NO_EXIST
    if not isinstance(config, str) or weights is None or not known:
        return None
    whole = all(isinstance(source.cached(hub, name), str) for name in _parts(weights))
    return Path(config).parent if whole else None


def _parts(weights: Path) -> list[str]:
    """Return the names of the files that a list of weights names; none for weights in one file."""
    return sorted(shards(weights)) if weights.name.endswith(INDEX_SUFFIX) else []


def _download(hub: ModuleType, source: Source, anew: bool) -> Path:
    """Fetch what the cache lacks, and with `anew` the weights in any case; return the folder."""
    config = source.fetch(hub, CONFIG_NAME)
    if config is not None:
        # A branch may move between two files, so the rest comes from the first file's commit.
        source = source._replace(revision=source.commit(config.parent))
        source.fetch(hub, PROCESSOR_NAME)
        fetched = (source.fetch(hub, filename, anew) for filename in source.weights)
        if weights := next(filter(None, fetched), None):
            for name in _parts(weights):
                if source.fetch(hub, name, anew) is None:
                    raise MissingWeights(
                        f"{hub.constants.ENDPOINT}/{source.repository} at {source.revision} has no "
                        f"{name}, which its {weights.name} lists; the repository is incomplete"
                    )
            return config.parent
    raise MissingWeights(
        f"{hub.constants.ENDPOINT}/{source.repository} at {source.revision} has no "
        f"{CONFIG_NAME if config is None else ' or '.join(source.weights)}; expected a repository "
        "with a model as transformers or timm save it"
    )


def _identify(source: Source, folder: Path) -> Fetched:
    """Hash the weights in a folder of the cache."""
    # If there are several files of weights, hash the one that will be read.
    weights = next(path for path in map(folder.joinpath, WEIGHTS_OR_LISTS) if path.exists())
    digest, size = hashlib.sha256(), 0
    for path in map(folder.joinpath, _parts(weights) or [weights.name]):
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
                size += len(chunk)
    sha256 = digest.hexdigest()
    known = (
        f"{facts['repository']}, {facts['sha256'][sha256]}"
        for facts in manifest().values()
        if facts["repository"] and sha256 in facts["sha256"]
    )
    return Fetched(
        folder=folder,
        weights=weights,
        repository=source.repository,
        commit=source.commit(folder),
        sha256=sha256,
        size=size,
        published_as=next(known, None),
    )


def _accepted(source: Source, found: Fetched) -> bool:
    return not source.sha256 or found.sha256 in source.sha256


def _remove(weights: Path) -> None:
    """Delete a file from the hub's cache: the entry of its commit and the bytes it points to."""
    contents = weights.resolve()
    weights.unlink()
    contents.unlink(missing_ok=True)


def _refused(source: Source, found: Fetched) -> WeightsError:
    return WeightsError(
        f"{found.weights}: sha256 is {found.sha256}; expected {' or '.join(source.sha256)}, the "
        f"published {source.name} of {source.repository}. The file is damaged or a different one: "
        f"run `npformer download {source.name}` to fetch it again, or name the repository, "
        f'"{source.repository}", to accept whatever it contains'
    )
