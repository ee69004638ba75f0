"""A processor's settings as a file: ``preprocessor_config.json`` of a model's folder."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from os import PathLike, fspath
from typing import TYPE_CHECKING, Any

from ..errors import ConfigError
from ..files.atomic import json_text, write_json
from ..files.names import PROCESSOR_NAME
from ..files.paths import as_path
from ..files.repository import Download
from ..network.hf_arguments import LOAD_SETTINGS, settle
from ..network.hf_methods import PROCESSOR
from ..network.settings_file import SettingsFile
from ..network.variants import REPOSITORIES
from .settings import Settings

if TYPE_CHECKING:
    from typing_extensions import Self

_PUBLISHED = ("tiny", *REPOSITORIES.values(), *REPOSITORIES)
"""Names whose settings need not be asked for."""


class PretrainedProcessor(SettingsFile):
    """An image processor as far as its settings are read, changed and written."""

    file_name = PROCESSOR_NAME
    _instead = PROCESSOR

    extra: dict[str, Any]
    """keys of the file that are not settings"""

    @property
    def settings(self) -> Settings:
        """The current settings, checked; ConfigError if one is impossible."""
        return Settings(*(getattr(self, name) for name in Settings._fields)).checked()

    @classmethod
    def from_pretrained(
        cls, pretrained_model_name_or_path: str | PathLike[str], **changes: Any
    ) -> Self:
        """Read the processor of a model's folder, or make that of a published network.

        Parameters
        ----------
        pretrained_model_name_or_path : str or path
            A folder with a ``preprocessor_config.json``; such a file; ``"tiny"``, ``"l1"``,
            ``"l3"``, ``"l7"`` or one of their repositories, such as
            ``"snap-research/efficientformer-l1-300"``: these are known, and nothing is downloaded
            unless a revision or a subfolder is named. Any other repository of the Hugging Face Hub
            is asked for the file.
        **changes
            Values that replace those of the file; ``revision``, ``cache_dir``,
            ``local_files_only``, ``token``, ``force_download`` and ``subfolder`` say how to
            download, and other arguments of transformers are answered
            (`npformer.network.hf_arguments`).

        Returns
        -------
        a processor of this class

        Raises
        ------
        MissingWeights
            If there is no such file.
        ConfigError
            If the file is not usable.
        OfflineError
            If the file must be downloaded and cannot be.
        TypeError
            If an argument of transformers is refused.
        """
        changes = settle(f"{cls.__name__}.from_pretrained", changes, LOAD_SETTINGS)
        download, source = Download.take(changes), fspath(pretrained_model_name_or_path)
        warn_of_unused(changes.keys() - set(Settings._fields))
        changes = {name: changes[name] for name in Settings._fields if name in changes}
        file = cls._find(source, download, _PUBLISHED)
        if file is not None:
            return cls.from_json_file(file, **changes)
        return cls(**{"size": {"shortest_edge": 256}, "crop_size": 224, **changes})

    def for_size(self, height: int, width: int) -> Self:
        """Return a processor for another image size that shows as much of a photograph.

        Parameters
        ----------
        height, width : int
            In pixels. The ratio of the shorter edge to the longer side of the crop stays the same:
            a network trained on 224 pixels out of 256 sees 256 out of 293.

        Returns
        -------
        a processor of this class

        Raises
        ------
        ConfigError
            If the size is impossible.
        """
        new = {"crop_size": {"height": height, "width": width}, "size": self.settings.size}
        if "shortest_edge" in new["size"]:
            ratio = max(height, width) / max(self.settings.crop_size.values())
            new["size"] = {"shortest_edge": round(new["size"]["shortest_edge"] * ratio)}
        else:
            new["size"] = new["crop_size"]
        return type(self).from_dict({**self.to_dict(), **new})

    def save_pretrained(self, save_directory: str | PathLike[str], **options: Any) -> list[str]:
        """Write ``preprocessor_config.json``, whole or not at all.

        Parameters
        ----------
        save_directory : str or path
            Created if it does not exist.
        **options
            Arguments of transformers, which are answered (`npformer.network.hf_arguments`).

        Returns
        -------
        list of str
            The path of the file.

        Raises
        ------
        ConfigError
            If a setting is impossible, or the folder is an address.
        TypeError
            If an argument is unknown or refused.
        OSError
            If the file cannot be written.
        """
        path = self._to_write(save_directory, options)
        self.to_json_file(path)
        return [str(path)]

    def to_json_file(self, path: str | PathLike[str]) -> None:
        """Write `to_json_string` to a file, which appears whole or not at all.

        Raises
        ------
        ConfigError
            If the path is an address.
        OSError
            If the file cannot be written.
        """
        write_json(as_path(path, "the path to write", ConfigError), self.to_dict())

    def to_dict(self) -> dict[str, Any]:
        """Return the keys and values that transformers has, and the other keys of the file."""
        values = {**self.extra, **self.settings._asdict()}
        if values["crop_rounding"] == "floor":  # the reference's
            del values["crop_rounding"]
        return {**values, "image_processor_type": type(self).__name__}

    def to_json_string(self) -> str:
        """Return the text of the file, with sorted keys."""
        return json_text(self.to_dict())

    def __repr__(self) -> str:
        return f"{type(self).__name__} {self.to_json_string()}"


def warn_of_unused(names: Iterable[str]) -> None:
    """Warn of arguments that have no meaning."""
    if unused := sorted(names):
        warnings.warn(f"unknown arguments, not used: {', '.join(unused)}", stacklevel=3)
