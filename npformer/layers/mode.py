"""How a network runs: evaluation, the default everywhere, or training.

    evaluation    batch norm by the running statistics; no noise
    training      batch norm by the statistics of the batch; dropout; drop path

Source: ``torch.nn.Module.train`` and ``eval``, as an explicit argument instead of a hidden state.
"""

from __future__ import annotations

from typing import NamedTuple

from .arrays import Rng


class Mode(NamedTuple):
    """What differs between evaluation and training; passed down from the network to its layers."""

    batch_statistics: bool = False
    """whether batch norm normalizes by the batch instead of the running averages"""
    dropout: float = 0.0
    """probability that a number inside an MLP is silenced"""
    drop_path: float = 0.0
    """probability that a residual branch is silenced for an image; the last block's in a network"""
    rng: Rng | None = None
    """where dropout and drop path draw from; needed if one of them is above 0"""

    def at(self, block: int, blocks: int) -> Mode:
        """The mode of block number `block` of `blocks`: drop path grows linearly with depth.

            rate(i) = rate · i / (blocks − 1)        Huang et al. 2016, section 3; the paper's code

        transformers 4.40.2 forgets the division, so that its rates pass 1.
        """
        return self._replace(drop_path=self.drop_path * block / max(blocks - 1, 1))


EVALUATION = Mode()


def training(rng: Rng, dropout: float = 0.0, drop_path: float = 0.0) -> Mode:
    """The mode for training with these rates of noise."""
    return Mode(True, dropout, drop_path, rng)
