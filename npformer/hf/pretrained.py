"""What the classes of `npformer.hf.modeling` share: a configuration, weights, and a look inside.

A class holds a configuration and parameters that never change, runs `npformer.network.forward`
or that of the engine, and puts what a `Trace` of it saw into an output: there is no second network
here.
Pixels and hidden states have their channels first, as the field writes them: (B, C, H, W).

Source: ``modeling_utils.py`` of transformers 4.40.2.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from .. import checkpoints
from ..checkpoints import Naming
from ..checkpoints.dtypes import target
from ..engine import make_forward
from ..errors import ConfigError, ImageError
from ..layers import EVALUATION, Array, AttentionBlock, Trace
from ..network import EfficientFormer, Logits, stage_sizes
from ..network.configuration import EfficientFormerConfig
from ..network.params import initialize, param_specs
from ..network.resizing import Method, resize
from ..network.tree import leaves
from .heads import check_shapes, refuse_biases_by_pair, with_fitting_heads, with_heads

if TYPE_CHECKING:
    from typing import Self

BATCH_SIZE = 16
"""How many images run at once. More run in turn: no image's numbers depend on the others'."""


class EfficientFormerPreTrainedModel:
    """What the classes share: weights, and running them.

    Parameters
    ----------
    config : EfficientFormerConfig
        Is copied: what is set on ``model.config`` later is the model's own.
    params : EfficientFormer, optional
        The weights, with at least the heads of this class; fresh ones by default.
    seed : int
        Of fresh weights. The body does not depend on the class.
    dtype : {"float32", "float64"}
        Of fresh weights.
    engine : {"auto", "numba", "numpy"}
        Which floor computes: the kernels, or the plain functions.

    Attributes
    ----------
    config : EfficientFormerConfig
    params : EfficientFormer
        The tree of parameters, read-only arrays. To train, see `npformer.learn`.
    engine : str

    Raises
    ------
    ConfigError
        If no network can be like that.
    WeightsError
        If the weights are those of another network.
    """

    config_class = EfficientFormerConfig
    base_model_prefix = "efficientformer"
    main_input_name = "pixel_values"

    heads: ClassVar[tuple[str, ...]] = ()
    """Names of the heads of this class in the tree of parameters."""

    def __init__(
        self,
        config: EfficientFormerConfig,
        params: EfficientFormer | None = None,
        *,
        seed: int = 0,
        dtype: DTypeLike = "float32",
        engine: str = "auto",
    ) -> None:
        self.config = copy.deepcopy(config)
        self.engine = engine
        if params is None:
            params = initialize(self.config, seed, dtype=target(dtype))
        self.params = with_heads(params, self.heads)
        check_shapes(self.params, with_heads(param_specs(self.config), self.heads))
        self._forward = make_forward(self.params, self.config, engine)

    @classmethod
    def from_pretrained(
        cls,
        source: str | PathLike[str],
        *,
        dtype: DTypeLike = "float32",
        engine: str = "auto",
        image_size: int | Sequence[int] | None = None,
        method: Method = "offsets",
        ignore_mismatched_sizes: bool = False,
        seed: int = 0,
        **changes: Any,
    ) -> Self:
        """Load a network.

        Parameters
        ----------
        source : str or path
            A folder, a file of weights, ``"tiny"`` (comes with npformer), ``"l1"``, ``"l3"``,
            ``"l7"`` or the name of a repository on the Hugging Face Hub.
        dtype : {"float32", "float64", "float16"}
            Of the weights, and so of all that is computed.
        engine : {"auto", "numba", "numpy"}
            Which floor computes.
        image_size : int or pair of int, optional
            Side, or height and width, of the images that it shall take, in pixels; the attention
            biases are interpolated for it. By default it takes those it was trained for.
        method : {"offsets", "original"}
            How; see `npformer.network.resizing`.
        ignore_mismatched_sizes : bool
            Whether heads that are missing or have another number of classes are made anew, from
            `seed`; otherwise they are an error.
        seed : int
        **changes
            Other values for some keys of the configuration, such as ``num_labels``.

        Returns
        -------
        a model of this class

        Raises
        ------
        MissingWeights, WeightsError, UnsafeCheckpointError, OfflineError
            As from `npformer.checkpoints.read`.
        ConfigError
            If the configuration or the size of the images is impossible.
        TypeError
            If a keyword is neither an argument nor a key of the configuration.
        """
        found = checkpoints.read(source, dtype=dtype)
        config, params = found.config, found.params
        for name in changes:
            if not hasattr(config, name):
                raise TypeError(
                    f"from_pretrained has no argument {name!r}, nor has a configuration"
                )
        if changes:
            config = EfficientFormerConfig.from_dict(config.to_dict(), **changes)
        if image_size is not None:
            params, config = resize(params, config, image_size, method)
        if ignore_mismatched_sizes:
            params = with_fitting_heads(params, config, seed)
        return cls(config, params, engine=engine)

    def save_pretrained(
        self, folder: str | PathLike[str], *, naming: Naming = "hf", **options: Any
    ) -> None:
        """Write a folder that `from_pretrained` and transformers read.

        Parameters
        ----------
        folder : str or path
            Is made if need be.
        naming : {"hf", "timm"}
            How the tensors are named.
        **options
            As of `npformer.checkpoints.write`, such as ``processor``.
        """
        refuse_biases_by_pair(self.params)
        checkpoints.write(folder, self.config, self.params, naming=naming, **options)

    def state_dict(self, naming: Naming = "hf") -> dict[str, Array]:
        """Return the tensors in PyTorch's shapes.

        Parameters
        ----------
        naming : {"hf", "timm", "original"}
            Whose names the tensors get.

        Returns
        -------
        dict of str to ndarray
        """
        refuse_biases_by_pair(self.params)
        return checkpoints.state_dict(self.params, self.config, naming)

    def eval(self) -> Self:
        """Return itself: it is always in evaluation mode."""
        return self

    def num_parameters(self) -> int:
        """How many numbers were learned; running statistics do not count."""
        return sum(array.size for path, array in leaves(self.params) if ".running_" not in path)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the weights, and of all that is computed."""
        return self.params.norm.weight.dtype

    @property
    def num_labels(self) -> int:
        """Number of classes."""
        return self.config.num_labels

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(depths={list(self.config.depths)}, "
            f"hidden_sizes={list(self.config.hidden_sizes)}, num_labels={self.num_labels}, "
            f"{self.num_parameters():,} parameters, {self.dtype})"
        )

    def _run(
        self, x: Array, names: Sequence[str], batch_size: int
    ) -> tuple[Logits, dict[str, Array]]:
        """Run the network in batches; return its answer, and the named arrays of its trace."""
        if batch_size < 1:
            raise ConfigError(f"batch_size is {batch_size}; expected 1 or more")
        answers, traces = [], []
        for start in range(0, max(len(x), 1), batch_size):
            trace = Trace(*names)
            answers.append(
                self._forward(x[start : start + batch_size], trace if names else EVALUATION)
            )
            traces.append(trace)
        logits = Logits(*(_join(parts) for parts in zip(*answers, strict=True)))
        return logits, {name: _join([trace[name] for trace in traces]) for name in names}

    def _channels_last(self, pixel_values: ArrayLike | None) -> Array:
        """Check ``pixel_values`` and turn (B, C, H, W) into (B, H, W, C)."""
        if pixel_values is None:
            raise ValueError("You have to specify pixel_values")
        x = np.asarray(pixel_values)
        if x.dtype.kind != "f":
            raise TypeError(
                f"pixel_values are {x.dtype}; expected floating point numbers. Images of whole "
                "numbers have to be preprocessed first, by EfficientFormerImageProcessor"
            )
        C = self.config.num_channels
        if x.ndim != 4 or x.shape[1] != C:
            last = x.ndim == 4 and x.shape[-1] == C
            raise ImageError(
                f"pixel_values have shape {x.shape}; expected (batch, {C} channels, height, width)"
                + (". Move the channels: np.moveaxis(pixel_values, -1, 1)" if last else "")
            )
        return np.ascontiguousarray(np.moveaxis(x, 1, -1))

    def _look(
        self,
        x: Array,
        output_attentions: bool | None,
        output_hidden_states: bool | None,
        reshape_last: bool,
        batch_size: int,
        also: Sequence[str] = (),
    ) -> tuple[Logits, dict[str, Array], dict[str, Any]]:
        """Run the network on (B, H, W, C) pixels.

        Returns its answer, the arrays of its trace that `also` names, and the fields of an output
        that were asked for.
        """
        config = self.config
        if output_attentions is None:
            output_attentions = config.output_attentions
        if output_hidden_states is None:
            output_hidden_states = config.output_hidden_states
        states = hidden_state_names(config) if output_hidden_states else []
        attentions = attention_names(self.params) if output_attentions else []
        logits, seen = self._run(x, [*also, *states, *attentions], batch_size)

        inside: dict[str, Any] = {}
        if output_hidden_states:
            grid = stage_sizes(x.shape[1], x.shape[2], config)[-1] if reshape_last else None
            inside["hidden_states"] = tuple(channels_first(seen[name], grid) for name in states)
        if output_attentions:
            inside["attentions"] = tuple(seen[name] for name in attentions)
        return logits, seen, inside

    def _returned(self, output: Any, return_dict: bool | None) -> Any:
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


def attention_names(params: EfficientFormer) -> list[str]:
    """Name the attention maps in a trace."""
    last = len(params.stages) - 1
    return [
        f"stages.{last}.blocks.{b}.token_mixer.attn"
        for b, block in enumerate(params.stages[last].blocks)
        if isinstance(block, AttentionBlock)
    ]


def channels_first(x: Array, grid: tuple[int, int] | None = None) -> Array:
    """View (B, H, W, C) as (B, C, H, W), and (B, N, C) so too if its `grid` is given."""
    if x.ndim == 3 and grid is not None:
        x = x.reshape(len(x), *grid, x.shape[-1])  # (B, N, C) -> (B, H, W, C)
    return x.transpose(0, 3, 1, 2) if x.ndim == 4 else x


def _join(parts: Iterable[Array | None]) -> Any:
    """Put batches together; None stays None."""
    arrays = [part for part in parts if part is not None]
    if len(arrays) > 1:
        return np.concatenate(arrays)
    return arrays[0] if arrays else None
