"""What a configuration shares with those of all models in transformers: class names and files.

Nothing here is needed to understand the network. `PretrainedConfig` does what the class of that
name does in ``configuration_utils.py`` of transformers 4.40.2, whose files it reads and writes.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from os import PathLike, fspath
from typing import TYPE_CHECKING, Any

from ..checks import as_python, require, require_whole
from ..errors import ConfigError
from ..files.atomic import json_text, write_json
from ..files.names import CONFIG_NAME
from ..files.paths import as_path
from ..files.repository import Download
from .hf_arguments import LOAD_CONFIG, settle
from .hf_keys import (
    ANY_MODEL,
    LABEL_KEYS,
    NOT_KEPT,
    OLD_NAMES,
    PROBLEM_TYPES,
    TRANSFORMERS_VERSION,
)
from .hf_methods import CONFIG
from .labels import by_index, with_imagenet_names
from .settings_file import SettingsFile
from .variants import REPOSITORIES, VARIANTS

if TYPE_CHECKING:
    from typing import Self

MAX_LABELS = 1_000_000
"""More classes than this are a typing error."""


class PretrainedConfig(SettingsFile):
    """The keys that any model has, the names of its classes, and its ``config.json``.

    Parameters
    ----------
    **others
        ``num_labels``, ``id2label``, ``label2id``, and any key of `hf_keys.ANY_MODEL`. Unknown keys
        are kept as attributes, with a warning if one looks like a typing error.

    Raises
    ------
    ConfigError
        If the keys are those of another type of model, contradict each other, or have the name of
        a method or property.
    """

    model_type: str
    file_name = CONFIG_NAME
    _instead = CONFIG

    id2label: dict[int, str]
    label2id: dict[str, int]
    problem_type: str | None
    architectures: list[str] | None
    output_attentions: bool
    output_hidden_states: bool
    return_dict: bool
    torchscript: bool
    torch_dtype: str | None

    def __init__(self, /, **others: Any) -> None:
        others = as_python(others)
        kind = others.pop("model_type", self.model_type)
        require(kind == self.model_type, "model_type", kind, repr(self.model_type))
        known = {*vars(self), *ANY_MODEL, *LABEL_KEYS}
        self._set_labels(*(others.pop(name, None) for name in LABEL_KEYS))
        others["_name_or_path"] = others.pop("name_or_path", others.get("_name_or_path", ""))
        if others.get("torch_dtype") is not None:
            others["torch_dtype"] = str(others["torch_dtype"]).removeprefix("torch.")
        for name in NOT_KEPT & others.keys():
            del others[name]
        for name, value in {**copy.deepcopy(ANY_MODEL), **others}.items():
            require(not hasattr(type(self), name), name, value, "no such key: it is computed")
            setattr(self, name, value)
        _warn_of_typing_errors(others.keys() - known, known)

    def __setattr__(self, name: str, value: Any) -> None:
        """Keep NumPy's numbers as Python's, which files can hold."""
        super().__setattr__(name, as_python(value))

    def _set_labels(self, count: Any, id2label: Any, label2id: Any) -> None:
        """Settle the classes from whatever was given of their number, names and indices."""
        for name, value in (("id2label", id2label), ("label2id", label2id)):
            require(value is None or isinstance(value, Mapping), name, value, "a mapping")
        for index in (label2id or {}).values():
            require_whole("label2id", index, 0, MAX_LABELS)
        if id2label is None and label2id is not None:
            id2label = by_index("label2id", ((index, label) for label, index in label2id.items()))
        if id2label is None:
            count = 2 if count is None else count
            require_whole("num_labels", count, 0, MAX_LABELS)
            id2label = {index: f"LABEL_{index}" for index in range(count)}
        require(count in (None, len(id2label)), "num_labels", count,
                f"{len(id2label)}, the number of names in id2label")  # fmt: skip
        self.name_classes(by_index("id2label", id2label.items()))
        if label2id is not None:
            self.label2id = dict(label2id)

    def name_classes(self, id2label: Mapping[int, str]) -> None:
        """Set ``id2label``, and ``label2id`` to its reverse.

        Parameters
        ----------
        id2label : mapping of int to str
            The name of every class, by index.
        """
        self.id2label = dict(id2label)
        self.label2id = {label: index for index, label in id2label.items()}

    def add_imagenet_names(self) -> None:
        """Give 1000 classes without names those of ImageNet-1k, which the published files lack."""
        named = with_imagenet_names(self.id2label)
        if named != self.id2label:
            self.name_classes(named)

    @property
    def num_labels(self) -> int:
        """Number of classes; 0 for a network without heads. Setting another number renames them."""
        return len(self.id2label)

    @num_labels.setter
    def num_labels(self, count: int) -> None:
        if count != self.num_labels:
            self._set_labels(count, None, None)

    @property
    def use_return_dict(self) -> bool:
        """Whether a call returns an output object by default, rather than a tuple."""
        return self.return_dict and not self.torchscript

    @property
    def name_or_path(self) -> str:
        """Where the file was loaded from, by its own account."""
        return str(vars(self)["_name_or_path"])

    def validate(self) -> None:
        """Check the keys that any model has.

        Raises
        ------
        ConfigError
            If one of them is impossible; the message names it.
        """
        require(self.problem_type in (None, *PROBLEM_TYPES), "problem_type", self.problem_type,
                f"one of {', '.join(PROBLEM_TYPES)}")  # fmt: skip
        require(self.architectures is None or isinstance(self.architectures, list),
                "architectures", self.architectures, "a list of names of classes")  # fmt: skip
        n = self.num_labels
        require(n <= MAX_LABELS, "id2label", f"{n} names", f"at most {MAX_LABELS}")
        require(set(self.id2label) == set(range(n)), "id2label", self.id2label,
                f"its {n} indices to be 0 to {n - 1}")  # fmt: skip

    @classmethod
    def variant(cls, name: str, **changes: Any) -> Self:
        """Make the configuration of a named network.

        Parameters
        ----------
        name : {"tiny", "l1", "l3", "l7"}
        **changes
            Other values for some keys.

        Returns
        -------
        EfficientFormerConfig
            Those of l1, l3 and l7 have the 1000 classes of ImageNet-1k.

        Raises
        ------
        ConfigError
            If there is no network of that name, or no network can have these changes.
        """
        require(name in VARIANTS, "the variant", name, f"one of {', '.join(VARIANTS)}")
        values = copy.deepcopy(VARIANTS[name])
        if "id2label" in changes or "label2id" in changes:
            del values["num_labels"]
        config = cls(**{**values, **changes})
        config.add_imagenet_names()
        return config

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], **changes: Any) -> Self:
        """Make a configuration from the keys of a ``config.json``.

        Parameters
        ----------
        values : mapping
            Names from old files are understood: ``attn_ratio`` for ``attention_ratio``, ``layers``
            for ``depths``, ``embed_dims`` for ``hidden_sizes``.
        **changes
            Other values for some keys.

        Returns
        -------
        EfficientFormerConfig

        Raises
        ------
        ConfigError
            If the keys are those of another type of model, or no network can have these values.
        """
        values = dict(values)
        for old, new in OLD_NAMES.items():
            if old in values:
                value = values.pop(old)
                require(values.setdefault(new, value) == value, old, value,
                        f"{values[new]!r}, as {new} in the same file")  # fmt: skip
        if changes.keys() & set(LABEL_KEYS):
            for name in LABEL_KEYS:
                values.pop(name, None)
        return cls(**{**values, **changes})

    @classmethod
    def from_pretrained(
        cls, pretrained_model_name_or_path: str | PathLike[str], **changes: Any
    ) -> Self:
        """Read the configuration from a folder, or make that of a published network.

        Parameters
        ----------
        pretrained_model_name_or_path : str or path
            A folder that holds a ``config.json``, such a file, the name of a variant, or that of
            its repository, such as ``"snap-research/efficientformer-l1-300"``: these are known, and
            nothing is downloaded unless a revision or a subfolder is named. ``"tiny"`` is the
            network that comes with npformer, including the names of its classes. Any other
            repository of the Hugging Face Hub is asked for the file.
        **changes
            Other values for some keys; ``revision``, ``cache_dir``, ``local_files_only``,
            ``token``, ``force_download`` and ``subfolder`` say how to download, and other arguments
            of transformers are answered (`npformer.network.hf_arguments`).

        Returns
        -------
        EfficientFormerConfig

        Raises
        ------
        MissingWeights
            If there is no such file and no network of that name.
        ConfigError
            If the file is not usable.
        OfflineError
            If the file must be downloaded and cannot be.
        TypeError
            If an argument of transformers is refused.
        OSError
            If the file cannot be read.
        """
        changes = settle(f"{cls.__name__}.from_pretrained", changes, LOAD_CONFIG)
        download, source = Download.take(changes), fspath(pretrained_model_name_or_path)
        file = cls._find(source, download, [*VARIANTS, *REPOSITORIES])
        if file is None:
            return cls.variant(REPOSITORIES.get(source, source), **changes)
        return cls.from_json_file(file, **changes)

    def save_pretrained(self, save_directory: str | PathLike[str], **options: Any) -> None:
        """Write ``config.json`` into a folder.

        Parameters
        ----------
        save_directory : str or path
            Created if it does not exist.
        **options
            Arguments of transformers, which are answered (`npformer.network.hf_arguments`).

        Raises
        ------
        ConfigError
            If the folder is an address.
        TypeError
            If an argument is unknown or refused.
        OSError
            If the file cannot be written.
        """
        self.to_json_file(self._to_write(save_directory, options))

    def to_dict(self) -> dict[str, Any]:
        """Return all keys and values, including those that any model has."""
        return {
            **copy.deepcopy(vars(self)),
            "model_type": self.model_type,
            "transformers_version": TRANSFORMERS_VERSION,
        }

    def to_diff_dict(self) -> dict[str, Any]:
        """Return what a file holds: all keys except those that have the default of any model."""
        usual = {
            **ANY_MODEL,
            "id2label": {0: "LABEL_0", 1: "LABEL_1"},
            "label2id": {"LABEL_0": 0, "LABEL_1": 1},
        }
        return {
            name: value
            for name, value in self.to_dict().items()
            if name not in usual or value != usual[name]
        }

    def to_json_string(self, use_diff: bool = True) -> str:
        """Return `to_diff_dict`, or `to_dict` without `use_diff`, as JSON with sorted keys."""
        return json_text(self.to_diff_dict() if use_diff else self.to_dict())

    def to_json_file(self, path: str | PathLike[str], use_diff: bool = True) -> None:
        """Write `to_json_string` to a file, which appears whole or not at all.

        Raises
        ------
        ConfigError
            If the path is an address.
        OSError
            If the file cannot be written.
        """
        write_json(
            as_path(path, "the path to write", ConfigError),
            self.to_diff_dict() if use_diff else self.to_dict(),
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PretrainedConfig) and self.to_dict() == other.to_dict()

    def __repr__(self) -> str:
        return f"{type(self).__name__} {self.to_json_string()}"


def _warn_of_typing_errors(unknown: Iterable[str], known: Iterable[str]) -> None:
    """Warn of keys that look like a known one."""
    for name in sorted(unknown):
        for meant in get_close_matches(name, known, n=1, cutoff=0.8):
            warnings.warn(
                f"unknown key {name!r} is kept, and means nothing; is it {meant!r}?", stacklevel=4
            )
