"""Which layer a name speaks of: timm's, transformers' and the original's, however written."""

from __future__ import annotations

from collections.abc import Iterable

from ...checkpoints.naming import PREFIX, modules
from ...network.configuration import EfficientFormerConfig
from ..steps import Step
from .recorded import words_of

SHOWS = {
    "q": "attn", "k": "attn", "scores": "attn", "biased": "attn", "v": "proj", "context": "proj",
}  # fmt: skip
"""Steps inside of an attention that no `Trace` records, and what shows that they are wrong."""


def layer_of(path: str, has_norm: bool = True) -> str:
    """Return the path of the layer that shows a wrong step: timm's, or what a `Trace` records.

    Parameters
    ----------
    path : str
        Of a step.
    has_norm : bool
        Whether a norm follows the first residual connection of the block.
    """
    parent, _, last = path.rpartition(".")
    if last == "residual1":
        return f"{parent}.norm2" if has_norm else f"{parent}.mlp.fc1"
    if parent.endswith("token_mixer"):
        return parent if last == "pool" else f"{parent}.{SHOWS.get(last, last)}"
    return path


def claims(
    names: Iterable[str], chain: Iterable[Step], config: EfficientFormerConfig
) -> dict[str, str]:
    """Say which step each name speaks of, by its path.

    Parameters
    ----------
    names : iterable of str
        In the order in which the arrays were computed: of several that speak of one step, the last
        has its result.
    chain : iterable of Step
    config : EfficientFormerConfig

    Returns
    -------
    dict of str to str
        Path -> name. Names that speak of nothing are left out.
    """
    known = _known(chain, config)
    words = {name: words_of(name.partition(" #")[0]) for name in names if ":" not in name}
    found = _claimed(words, known)
    while len({word.partition(".")[0] for word in words.values()}) == 1 and len(words) > 1:
        # All names begin with the same word, such as that of a scope.
        words = {name: word.partition(".")[2] for name, word in words.items()}
        found = max(found, _claimed(words, known), key=len)
    return found


def _claimed(words: dict[str, str], known: dict[str, str]) -> dict[str, str]:
    return {known[word]: name for name, word in words.items() if word in known}


def _known(chain: Iterable[Step], config: EfficientFormerConfig) -> dict[str, str]:
    """Return the path that each plain name belongs to."""
    paths = {step.path for step in chain}
    known = {words_of(path): path for path in paths}
    for native, hf, original in modules(config):
        for other in (hf, hf.removeprefix(PREFIX), original):
            ours, theirs = native.removesuffix(".gamma"), other
            while ours and theirs:
                if ours in paths:
                    known.setdefault(words_of(theirs), ours)
                ours, theirs = ours.rpartition(".")[0], theirs.rpartition(".")[0]
                if ours.rpartition(".")[2] != theirs.rpartition(".")[2]:
                    break
    for name in ("logits", "predictions", "scores_final"):
        known.setdefault(words_of(name), "logits")
    return known
