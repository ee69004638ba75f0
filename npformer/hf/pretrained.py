"""What the classes of `npformer.hf.modeling` share: configuration, weights, and running them.

A model holds a configuration and parameters that never change. Its `network` is
`npformer.network.forward` or the engine's: there is no second network here. A call of a model
turns pixel values, (B, C, H, W), into images with their channels last, runs the network with a
`Trace`, and fills an output from its logits and the trace.

Source: ``modeling_utils.py`` of transformers 4.40.2.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, TypeVar, cast

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from .. import checkpoints
from ..checkpoints import Naming, quantized
from ..checkpoints.dtypes import target
from ..engine import Forward, make_forward
from ..engine.fold import FoldedAttentionBlock, FoldedNetwork
from ..errors import ConfigError, WeightsError
from ..images.layout import channels_first, channels_last_pixels
from ..layers import EVALUATION, Array, AttentionBlock, Trace
from ..network import EfficientFormer, Logits, stage_sizes
from ..network.configuration import EfficientFormerConfig
from ..network.hf_arguments import SAVE_MODEL, settle
from ..network.params import initialize, param_specs
from .heads import check_shapes, refuse_biases_by_pair, with_heads
from .module import ModuleMethods
from .outputs import ModelOutput
from .reading import read_pretrained

if TYPE_CHECKING:
    from typing_extensions import Self

Output = TypeVar("Output", bound=ModelOutput)

BATCH_SIZE = 16
"""How many images run at once. No image's results depend on the others in its batch."""


class Seen(NamedTuple):
    """What a call of a model computed."""

    logits: Logits
    arrays: dict[str, Array]
    """the arrays of the trace that were asked for, by name"""
    grid: tuple[int, int]
    """rows and columns of tokens"""
    inside: dict[str, Any]
    """the fields ``hidden_states`` and ``attentions`` of an output, if they were asked for"""


class EfficientFormerPreTrainedModel(ModuleMethods):
    """Base class of all models: configuration, weights, and the network that runs them.

    Parameters
    ----------
    config : EfficientFormerConfig
        It is copied, so changing ``model.config`` later changes this model alone.
    params : EfficientFormer or FoldedNetwork, optional
        The weights, with at least the heads of this class, in eight bits if folded; random ones by
        default.
    seed : int
        Seed of random weights. The body does not depend on the class.
    dtype : {"float32", "float64"}
        Type of random weights.
    engine : {"auto", "numba", "numpy"}
        What computes, as in `npformer.load`.

    Attributes
    ----------
    config : EfficientFormerConfig
    params : EfficientFormer or FoldedNetwork
        The tree of parameters, read-only arrays. To train, see `npformer.learn`.
    engine : str
    network : callable
        ``network(x, run) -> Logits`` runs the network on images with their channels last,
        (B, H, W, C), as `npformer.network.forward` does; `run` may be a `Trace`.

    Raises
    ------
    ConfigError
        If the configuration is impossible, or `engine` cannot run it.
    WeightsError
        If the weights do not fit the configuration or lack a head, or `dtype` is neither type.
    """

    config_class = EfficientFormerConfig
    base_model_prefix = "efficientformer"
    main_input_name = "pixel_values"

    heads: ClassVar[tuple[str, ...]] = ()
    """Names of the heads of this class in the tree of parameters."""

    def __init__(
        self,
        config: EfficientFormerConfig,
        params: EfficientFormer | FoldedNetwork | None = None,
        *,
        seed: int = 0,
        dtype: DTypeLike = "float32",
        engine: str = "auto",
    ) -> None:
        self.config = copy.deepcopy(config)
        self.engine = engine
        if params is None:
            params = initialize(self.config, seed, dtype=target(dtype))
        # The usual type, so that scripts of float networks are checked; the other is told apart.
        self.params = cast(EfficientFormer, with_heads(params, self.heads))
        folded = isinstance(params, FoldedNetwork)
        specs = quantized.specs(self.config) if folded else param_specs(self.config)
        check_shapes(self.params, with_heads(specs, self.heads))
        self.network: Forward = make_forward(self.params, self.config, engine)

    @classmethod
    def from_pretrained(
        cls, pretrained_model_name_or_path: str | PathLike[str], *, engine: str = "auto",
        **options: Any,
    ) -> Self:  # fmt: skip
        """Load a network.

        Parameters
        ----------
        pretrained_model_name_or_path : str or path
            A folder, a file of weights, ``"tiny"`` (comes with npformer), ``"l1"``, ``"l3"``,
            ``"l7"`` or the name of a repository on the Hugging Face Hub.
        engine : {"auto", "numba", "numpy"}
            What computes, as in `npformer.load`.
        **options
            As in `npformer.hf.reading.read_pretrained`: ``dtype``, ``config``, ``image_size``,
            ``method``, ``ignore_mismatched_sizes``, ``seed``, ``entry``; ``revision``,
            ``cache_dir``, ``local_files_only``, ``token``, ``force_download``, ``subfolder``; and
            values that replace those of the configuration, such as ``num_labels=10``. What happens
            to the other arguments of transformers is in the page "Arguments and methods of
            transformers".

        Returns
        -------
        a model of this class

        Raises
        ------
        MissingWeights, WeightsError, UnsafeCheckpointError, OfflineError
            As in `npformer.load`; WeightsError also if a head is missing or has another number of
            classes.
        ConfigError
            If the configuration, `engine` or `image_size` is impossible.
        TypeError
            If a keyword is neither an argument nor a key of the configuration, or an argument of
            transformers that npformer refuses.
        """
        config, params = read_pretrained(pretrained_model_name_or_path, **options)
        return cls(config, params, engine=engine)

    def save_pretrained(
        self, save_directory: str | PathLike[str], *, naming: Naming = "hf", **options: Any
    ) -> None:
        """Write a folder that `from_pretrained` reads, and transformers unless it is in eight bits.

        Parameters
        ----------
        save_directory : str or path
            Created if it does not exist.
        naming : {"hf", "timm"}
            How the tensors are named.
        **options
            As in `npformer.checkpoints.write`, such as ``processor``. Arguments of transformers are
            answered as in the page "Arguments and methods of transformers".

        Raises
        ------
        ConfigError
            If the names or the configuration cannot be written in that format.
        WeightsError
            If the attention biases were resized by ``method="original"``, which no format holds.
        TypeError
            If an argument is unknown, or one of transformers that npformer refuses.
        """
        options = settle("save_pretrained", options, SAVE_MODEL)
        if isinstance(self.params, FoldedNetwork):
            if naming != "hf":
                raise ConfigError(
                    f"naming is {naming!r}; weights in eight bits have names of their own"
                )
            quantized.write(Path(save_directory), self.config, self.params, **options)
            return
        refuse_biases_by_pair(self.params)
        checkpoints.write(save_directory, self.config, self.params, naming=naming, **options)

    def state_dict(self, naming: Naming = "hf") -> dict[str, Array]:
        """Return the tensors in PyTorch's shapes.

        Parameters
        ----------
        naming : {"hf", "timm", "original"}
            Whose names the tensors get.

        Returns
        -------
        dict of str to ndarray

        Raises
        ------
        WeightsError
            If the weights are in eight bits, or the attention biases were resized by
            ``method="original"``: no other library has such tensors.
        """
        if isinstance(self.params, FoldedNetwork):
            raise WeightsError(
                "the weights are in eight bits and folded, so they are no tensors of another "
                "library; params holds them, and save_pretrained writes them"
            )
        refuse_biases_by_pair(self.params)
        return checkpoints.state_dict(self.params, self.config, naming)

    @property
    def name_or_path(self) -> str:
        """Where the configuration was loaded from, by its own account."""
        return self.config.name_or_path

    @property
    def num_labels(self) -> int:
        """Number of classes."""
        return self.config.num_labels

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(depths={list(self.config.depths)}, "
            f"hidden_sizes={list(self.config.hidden_sizes)}, num_labels={self.num_labels}, "
            f"{self.num_parameters():,} parameters, "
            f"{'int8' if isinstance(self.params, FoldedNetwork) else self.dtype})"
        )

    def _look(
        self,
        pixel_values: ArrayLike | None,
        output_attentions: bool | None,
        output_hidden_states: bool | None,
        batch_size: int,
        reshape_last: bool = False,
        also: Sequence[str] = (),
    ) -> Seen:
        """Check pixel values, run the network on them, and collect what was asked for.

        `also` names further arrays of the trace. Other arguments are those of a call.
        """
        config = self.config
        if pixel_values is None:
            raise ValueError("You have to specify pixel_values")
        x = channels_last_pixels(pixel_values, config.num_channels)
        if output_attentions is None:
            output_attentions = config.output_attentions
        if output_hidden_states is None:
            output_hidden_states = config.output_hidden_states
        states = hidden_state_names(config) if output_hidden_states else []
        attentions = attention_names(self.params) if output_attentions else []
        logits, arrays = self._run(x, [*also, *states, *attentions], batch_size)

        grid = stage_sizes(x.shape[1], x.shape[2], config)[-1]
        inside: dict[str, Any] = {}
        if output_hidden_states:
            shape = grid if reshape_last else None
            inside["hidden_states"] = tuple(as_maps(arrays[name], shape) for name in states)
        if output_attentions:
            maps = (arrays[name].astype(self.dtype, copy=False) for name in attentions)
            inside["attentions"] = tuple(maps)
        return Seen(logits, arrays, grid, inside)

    def _run(
        self, x: Array, names: Sequence[str], batch_size: int
    ) -> tuple[Logits, dict[str, Array]]:
        """Run the network in batches; return its logits, and the named arrays of its trace."""
        if batch_size < 1:
            raise ConfigError(f"batch_size is {batch_size}; expected 1 or more")
        logits, traces = [], []
        for start in range(0, max(len(x), 1), batch_size):
            trace = Trace(*names)
            logits.append(
                self.network(x[start : start + batch_size], trace if names else EVALUATION)
            )
            traces.append(trace)
        joined = Logits(*(_join(parts) for parts in zip(*logits, strict=True)))
        return joined, {name: _join([trace[name] for trace in traces]) for name in names}

    def _returned(self, output: Output, return_dict: bool | None) -> Output | tuple[Any, ...]:
        """Return an output as it is, or as a tuple."""
        if return_dict is None:
            return_dict = self.config.use_return_dict
        return output if return_dict else output.to_tuple()


def hidden_state_names(config: EfficientFormerConfig) -> list[str]:
    """Name the hidden states in a trace: the stem, and each stage and downsampling in order."""
    names = ["stem"]
    for i in range(len(config.depths)):
        if i > 0 and config.has_downsample(i):
            names.append(f"stages.{i}.downsample")
        names.append(f"stages.{i}")
    return names


def attention_names(params: EfficientFormer | FoldedNetwork) -> list[str]:
    """Name the attention maps in a trace."""
    last = len(params.stages) - 1
    return [
        f"stages.{last}.blocks.{b}.token_mixer.attn"
        for b, block in enumerate(params.stages[last].blocks)
        if isinstance(block, (AttentionBlock, FoldedAttentionBlock))
    ]


def as_maps(x: Array, grid: tuple[int, int] | None = None) -> Array:
    """View (B, H, W, C) as (B, C, H, W), and tokens, (B, N, C), too if their `grid` is given."""
    if x.ndim == 3 and grid is not None:
        x = x.reshape(len(x), *grid, x.shape[-1])  # (B, N, C) -> (B, H, W, C)
    return channels_first(x) if x.ndim == 4 else x


def _join(parts: Iterable[Array | None]) -> Any:
    """Concatenate batches; None stays None."""
    arrays = [part for part in parts if part is not None]
    if len(arrays) > 1:
        return np.concatenate(arrays)
    return arrays[0] if arrays else None
