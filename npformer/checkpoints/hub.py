"""The published models: fetched from the Hugging Face Hub and checked against their SHA-256.

    "l1", "l3", "l7"    the manifest (``weights/manifest.json``) records the repository, the
                        revision and the hash of the weights; any other file is refused
    "owner/name"        any repository with an EfficientFormer; nobody has recorded what its weights
                        should be, so their hash is reported, and any hash is accepted

The package huggingface_hub transfers the files: its cache (shared with every other program that
uses the hub), its locks between processes, its resumed downloads, its progress bars, its variables
(``HF_HOME``, ``HF_HUB_CACHE``, ``HF_HUB_OFFLINE``, ``HF_ENDPOINT``, ``HF_TOKEN``). It does not hash
what it finds in its cache. This module does, every time: 0.04 s for L1, less than reading the file
takes, and no record of an earlier check that could be out of date.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from ..errors import MissingPackage, MissingWeights, OfflineError, WeightsError
from ..files.names import CONFIG_NAME, PROCESSOR_NAME, WEIGHTS_NAMES
from ..files.optional import optional
from ..files.shipped import shipped

_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_CHUNK = 1 << 20

_log = logging.getLogger(__name__)


class Source(NamedTuple):
    """What is wanted from the hub."""

    name: str
    """as the caller wrote it"""
    repository: str
    revision: str
    weights: tuple[str, ...]
    """possible names of the file of weights; the first that exists is used"""
    sha256: tuple[str, ...]
    """accepted hashes of that file; empty if nobody has recorded any"""


class Fetched(NamedTuple):
    """What is in the cache."""

    folder: Path
    """contains the configurations of network and processor, and the weights"""
    weights: Path
    repository: str
    commit: str
    sha256: str
    size: int
    """size of the weights, in bytes"""
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
    return bool(facts["repository"]) if facts else bool(_REPOSITORY.fullmatch(name))


def locate(name: str, *, revision: str | None = None, local_only: bool = False) -> Path:
    """Return the folder of a model, downloading it if it is not in the cache.

    Parameters
    ----------
    name : str
        ``"l1"``, ``"l3"``, ``"l7"`` or ``"owner/name"``.
    revision : str, optional
        Branch, tag or commit. If it is not the manifest's revision of a published model, no hash is
        required.
    local_only : bool
        Use only the cache, as ``HF_HUB_OFFLINE=1`` does for the whole process.

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
    found = fetch(name, revision=revision, local_only=local_only)
    if found.published_as is None:
        _log.warning(
            "%s at %s: nobody has recorded what %s should be; this one has sha256 %s",
            found.repository, found.commit[:7], found.weights.name, found.sha256,
        )  # fmt: skip
    return found.folder


def fetch(
    name: str, *, revision: str | None = None, local_only: bool = False, refresh: bool = False
) -> Fetched:
    """Download a model as `locate` does, and return all that is known about its files.

    Parameters
    ----------
    name, revision, local_only
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
    source = _source(name, revision)
    hub = _huggingface_hub(name)

    folder = _cached(hub, source)
    found = _identify(source, folder) if folder else None
    if found and _accepted(source, found) and not (refresh and not source.sha256):
        return found
    if local_only:
        raise _refused(source, found) if found else OfflineError(_offline(hub, source))
    damaged = found is not None and not _accepted(source, found)
    try:
        found = _identify(source, _download(hub, source, anew=damaged))
    except OfflineError as error:
        raise (_refused(source, found) if found and damaged else error) from error
    if not _accepted(source, found):
        _remove(found.weights)
        raise _refused(source, found)
    return found


def _source(name: str, revision: str | None) -> Source:
    facts = manifest().get(name, {})
    if facts and revision in (None, facts["revision"]):
        return Source(
            name, facts["repository"], facts["revision"], (facts["file"],), tuple(facts["sha256"])
        )
    return Source(name, facts.get("repository", name), revision or "main", WEIGHTS_NAMES, ())


def _huggingface_hub(name: str) -> ModuleType:
    try:
        with optional("huggingface_hub", f"{name}, on the Hugging Face Hub,", "npformer[hub]"):
            import huggingface_hub
    except MissingPackage as error:
        raise OfflineError(str(error)) from error
    return huggingface_hub


def _cached(hub: ModuleType, source: Source) -> Path | None:
    """Return the folder in the cache if it contains everything needed."""

    def look(filename: str) -> Any:  # a path, a marker that there is no such file, or None
        return hub.try_to_load_from_cache(source.repository, filename, revision=source.revision)

    config, processor = look(CONFIG_NAME), look(PROCESSOR_NAME)
    weights = any(isinstance(look(filename), str) for filename in source.weights)
    # Without the processor's configuration, a model would see wrongly resized images.
    known = isinstance(processor, str) or processor is hub._CACHED_NO_EXIST
    return Path(config).parent if isinstance(config, str) and weights and known else None


def _download(hub: ModuleType, source: Source, anew: bool) -> Path:
    """Fetch what the cache lacks, and with `anew` the weights in any case; return the folder."""
    config = _download_file(hub, source, CONFIG_NAME)
    if config is not None:
        # A branch may move between two files, so the rest comes from the first file's commit.
        source = source._replace(revision=config.parent.name)
        _download_file(hub, source, PROCESSOR_NAME)
        if any(_download_file(hub, source, filename, anew) for filename in source.weights):
            return config.parent
    raise MissingWeights(
        f"{hub.constants.ENDPOINT}/{source.repository} at {source.revision} has no "
        f"{CONFIG_NAME if config is None else ' or '.join(source.weights)}; expected a repository "
        "with a model as transformers or timm save it"
    )


def _download_file(
    hub: ModuleType, source: Source, filename: str, anew: bool = False
) -> Path | None:
    """Fetch one file; None if the repository has no such file."""
    from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, LocalEntryNotFoundError

    url = hub.hf_hub_url(source.repository, filename, revision=source.revision)
    try:
        path = hub.hf_hub_download(
            source.repository, filename, revision=source.revision, force_download=anew
        )
        return Path(path)
    except LocalEntryNotFoundError as error:
        raise OfflineError(_offline(hub, source, error.__cause__)) from error
    except EntryNotFoundError:
        return None
    except HfHubHTTPError as error:
        raise OfflineError(
            f"{source.name}: {url} answered {getattr(error.response, 'status_code', error)}. There "
            "is no such repository or revision (nor a folder of that name here), or it is private: "
            "then log in with `hf auth login`, or set HF_TOKEN"
        ) from error
    except Exception as error:  # from the disk, or the HTTP library, which depends on the version
        raise OfflineError(
            f"{source.name}: {url} could not be downloaded to {hub.constants.HF_HUB_CACHE}: "
            f"{type(error).__name__}: {error}. Try again: the download continues where it stopped"
        ) from error


def _identify(source: Source, folder: Path) -> Fetched:
    """Hash the weights in a folder of the cache."""
    # If there are several files of weights, hash the one that will be read.
    weights = next(path for path in map(folder.joinpath, WEIGHTS_NAMES) if path.exists())
    digest = hashlib.sha256()
    with weights.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
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
        commit=folder.name,
        sha256=sha256,
        size=weights.stat().st_size,
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


def _offline(hub: ModuleType, source: Source, cause: BaseException | None = None) -> str:
    """Say what is missing, why it was not downloaded, and how to get it."""
    status = getattr(getattr(cause, "response", None), "status_code", None)
    if hub.constants.HF_HUB_OFFLINE:
        why = "HF_HUB_OFFLINE is set, so the hub is not asked"
    elif cause is None:
        why = "only the cache may be used"
    elif status is not None:
        why = f"{hub.constants.ENDPOINT} answered {status}"
    else:
        why = f"{hub.constants.ENDPOINT} cannot be reached ({type(cause).__name__})"
    what = "" if source.name in manifest() else "there is no such folder here, and the repository "
    return (
        f"{source.name}: {what}{source.repository}, revision {source.revision}, is missing or "
        f"incomplete in the cache {hub.constants.HF_HUB_CACHE}; {why}. Run `HF_HUB_OFFLINE=0 "
        f"npformer download {source.name}` where there is a connection, and copy the cache here if "
        "necessary; HF_HUB_CACHE names another folder for it"
    )
