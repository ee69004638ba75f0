"""Settings that a model's folder keeps as a JSON file: found, read and written.

`npformer.network.pretrained_config` and `npformer.images.pretrained_processor` say which settings.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from ..errors import ConfigError, MissingWeights
from ..files.paths import as_path
from ..files.presence import is_file
from ..files.repository import Download, fetch_file, is_repository
from ..files.shipped import shipped
from ..files.strict_json import read_object
from .hf_arguments import SAVE_SETTINGS, refuse_unknown, settle
from .hf_methods import SaysWhatInstead
from .variants import REPOSITORIES

if TYPE_CHECKING:
    from typing import Self


class SettingsFile(SaysWhatInstead):
    """Base class of what is read from a JSON file of a model's folder."""

    file_name: ClassVar[str]
    """the name of the file in a folder"""

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], **changes: Any) -> Self:
        """Make an object from the keys of such a file.

        Parameters
        ----------
        values : mapping
        **changes
            Values that replace those of `values`.

        Returns
        -------
        an object of this class

        Raises
        ------
        ConfigError
            If a value is impossible.
        """
        return cls(**{**values, **changes})

    @classmethod
    def from_json_file(cls, path: str | PathLike[str], **changes: Any) -> Self:
        """Read a file.

        Parameters
        ----------
        path : str or path
        **changes
            Values that replace those of the file.

        Returns
        -------
        an object of this class

        Raises
        ------
        ConfigError
            If the file is not usable; the message names it.
        OSError
            If it cannot be read.
        """
        place = as_path(path, f"the path of a {cls.file_name}", ConfigError)
        values = read_object(place)
        try:
            return cls.from_dict(values, **changes)
        except ConfigError as error:
            raise ConfigError(f"{place}: {error}") from error

    @classmethod
    def _find(cls, source: str, download: Download, known: Iterable[str]) -> Path | None:
        """Return the path of the file, downloaded if necessary; None for a published network.

        Parameters
        ----------
        source : str
            A folder, a file, a name or a repository.
        download : Download
        known : iterable of str
            Names and repositories whose settings need no file.

        Raises
        ------
        MissingWeights
            If there is no such file.
        ConfigError
            If something else has its name.
        OfflineError
            If it must be downloaded and cannot be.
        """
        what = f"the name of a model, for its {cls.file_name},"
        path = (
            shipped("tiny")
            if source == "tiny"
            else as_path(source, what, MissingWeights, model=True)
        )
        path /= download.subfolder
        file = path / cls.file_name if path.is_dir() else path
        if is_file(file, ConfigError):
            return file
        if source in known and not download.names_a_file:
            return None
        names = {variant: of for of, variant in REPOSITORIES.items()}
        repository = names.get(source, source)
        if is_repository(repository) and (
            found := fetch_file(source, repository, cls.file_name, download)
        ):
            return found
        raise MissingWeights(
            f"{source}: no such folder with a {cls.file_name}, no such file, and no name of a "
            f"published network; names are {', '.join(known)}"
        )

    def _to_write(self, save_directory: str | PathLike[str], options: dict[str, Any]) -> Path:
        """Answer the arguments of ``save_pretrained``, and return the path of the file to write."""
        refuse_unknown(settle("save_pretrained", options, SAVE_SETTINGS))
        folder = as_path(save_directory, "save_directory", ConfigError)
        folder.mkdir(parents=True, exist_ok=True)
        return folder / self.file_name
