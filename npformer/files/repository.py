"""Files of a repository on the Hugging Face Hub, one at a time, by way of its cache.

The package huggingface_hub transfers the files: its cache (shared with every other program that
uses the hub), its locks between processes, its resumed downloads, its progress bars, its variables
(``HF_HOME``, ``HF_HUB_CACHE``, ``HF_HUB_OFFLINE``, ``HF_ENDPOINT``, ``HF_TOKEN``).
"""

from __future__ import annotations

import re
from os import PathLike
from pathlib import Path, PurePosixPath
from types import ModuleType
from typing import Any, NamedTuple

from ..errors import MissingPackage, OfflineError
from .optional import optional

_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


def is_repository(name: str) -> bool:
    """Whether `name` has the form ``owner/name``."""
    return bool(_REPOSITORY.fullmatch(name))


class Download(NamedTuple):
    """What may be said about a download; names and meanings are those of transformers."""

    revision: str | None = None
    """branch, tag or commit; the main branch by default, or the one that the manifest records"""
    cache_dir: str | PathLike[str] | None = None
    """the folder of the cache, instead of huggingface_hub's"""
    force_download: bool = False
    """whether to fetch the files even if they are in the cache"""
    local_files_only: bool = False
    """use only the cache, as ``HF_HUB_OFFLINE=1`` does for the whole process"""
    token: str | bool | None = None
    """for private repositories; by default, and with True, that of ``hf auth login``"""
    subfolder: str = ""
    """folder of the repository, or of a local folder, that holds the files"""

    @property
    def names_a_file(self) -> bool:
        """Whether another file is wanted than the one that a name is known for, or a new copy."""
        return bool(self.revision or self.subfolder or self.force_download)

    @classmethod
    def take(cls, options: dict[str, Any]) -> Download:
        """Take what belongs here out of a function's keyword arguments."""
        given = {name: options.pop(name) for name in cls._fields if name in options}
        return cls(**given)._replace(subfolder=given.get("subfolder") or "")


USUAL = Download()
"""The main branch or the manifest's revision, to and from the usual cache."""


class Source(NamedTuple):
    """What is wanted from the hub."""

    name: str
    """as the caller wrote it"""
    repository: str
    revision: str
    download: Download = USUAL
    weights: tuple[str, ...] = ()
    """possible names of the file of weights; the first that exists is used"""
    sha256: tuple[str, ...] = ()
    """accepted hashes of that file; empty if nobody has recorded any"""
    known: bool = False
    """whether the name is that of a published model, which no folder has"""

    def cached(self, hub: ModuleType, filename: str) -> Any:
        """Look for a file in the cache: a path, a marker that there is no such file, or None."""
        return hub.try_to_load_from_cache(
            self.repository,
            self._inside(filename),
            revision=self.revision,
            cache_dir=self.download.cache_dir,
        )

    def fetch(self, hub: ModuleType, filename: str, anew: bool = False) -> Path | None:
        """Fetch one file; None if the repository has no such file.

        Parameters
        ----------
        hub : module
            As from `huggingface_hub`.
        filename : str
        anew : bool
            Whether to fetch it even if it is in the cache.

        Raises
        ------
        OfflineError
            If it is not in the cache and cannot be downloaded.
        """
        from huggingface_hub.errors import (
            EntryNotFoundError,
            HfHubHTTPError,
            LocalEntryNotFoundError,
        )

        url = hub.hf_hub_url(self.repository, self._inside(filename), revision=self.revision)
        try:
            path = hub.hf_hub_download(
                self.repository,
                self._inside(filename),
                revision=self.revision,
                cache_dir=self.download.cache_dir,
                force_download=anew or self.download.force_download,
                local_files_only=self.download.local_files_only,
                token=self.download.token,
            )
            return Path(path)
        except LocalEntryNotFoundError as error:
            raise OfflineError(self.offline(hub, error.__cause__)) from error
        except EntryNotFoundError:
            return None
        except HfHubHTTPError as error:
            raise OfflineError(
                f"{self.name}: {url} answered {getattr(error.response, 'status_code', error)}. "
                "There is no such repository or revision (nor a folder of that name here), or it "
                "is private: then log in with `hf auth login`, or set HF_TOKEN"
            ) from error
        except Exception as error:  # from the disk, or the HTTP library, which depends on versions
            raise OfflineError(
                f"{self.name}: {url} could not be downloaded to {self._cache(hub)}: "
                f"{type(error).__name__}: {error}. Try again: the download continues where it "
                "stopped"
            ) from error

    def commit(self, folder: Path) -> str:
        """Return the commit that a folder of the cache belongs to."""
        depth = len(PurePosixPath(self.download.subfolder).parts)
        return [folder, *folder.parents][depth].name

    def offline(self, hub: ModuleType, cause: BaseException | None = None) -> str:
        """Say what is missing, why it was not downloaded, and how to get it."""
        status = getattr(getattr(cause, "response", None), "status_code", None)
        if hub.constants.HF_HUB_OFFLINE:
            why = "HF_HUB_OFFLINE is set, so the hub is not asked"
        elif self.download.local_files_only or cause is None:
            why = "only the cache may be used"
        elif status is not None:
            why = f"{hub.constants.ENDPOINT} answered {status}"
        else:
            why = f"{hub.constants.ENDPOINT} cannot be reached ({type(cause).__name__})"
        what = "" if self.known else "there is no such folder here, and the repository "
        return (
            f"{self.name}: {what}{self.repository}, revision {self.revision}, is missing or "
            f"incomplete in the cache {self._cache(hub)}; {why}. Run `HF_HUB_OFFLINE=0 "
            f"npformer download {self.name}` where there is a connection, and copy the cache here "
            "if necessary; HF_HUB_CACHE names another folder for it"
        )

    def _inside(self, filename: str) -> str:
        return str(PurePosixPath(self.download.subfolder, filename))

    def _cache(self, hub: ModuleType) -> Any:
        return self.download.cache_dir or hub.constants.HF_HUB_CACHE


def huggingface_hub(name: str) -> ModuleType:
    """Import huggingface_hub.

    Parameters
    ----------
    name : str
        What is wanted from the hub.

    Raises
    ------
    OfflineError
        If the package is not installed.
    """
    try:
        with optional("huggingface_hub", f"{name}, on the Hugging Face Hub,", "npformer[hub]"):
            import huggingface_hub
    except MissingPackage as error:
        raise OfflineError(str(error)) from error
    return huggingface_hub


def fetch_file(name: str, repository: str, filename: str, download: Download) -> Path | None:
    """Return the path of one file of a repository; None if the repository has no such file.

    Parameters
    ----------
    name : str
        Of the model, as the caller wrote it.
    repository : str
        ``"owner/name"``.
    filename : str
    download : Download

    Raises
    ------
    OfflineError
        If the file is not in the cache and cannot be downloaded.
    """
    hub = huggingface_hub(name)
    source = Source(name, repository, download.revision or "main", download)
    found = None if download.force_download else source.cached(hub, filename)
    return Path(found) if isinstance(found, str) else source.fetch(hub, filename)
