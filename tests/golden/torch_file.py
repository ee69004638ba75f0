"""Write ``torch_file.pth`` by ``torch.save``: every dtype, views of all kinds, a training run.

And ``torch_legacy.pth``: the same in the format from before PyTorch 1.6.

``python tests/golden/torch_file.py``, with the extra ``reference``.
"""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import Any

import numpy as np

GOLDEN = Path(__file__).parent / "torch_file.pth"
LEGACY = Path(__file__).parent / "torch_legacy.pth"

NUMBERS = np.arange(24).reshape(4, 6)
TYPES = {
    "float64": "f8",
    "float32": "f4",
    "float16": "f2",
    "bfloat16": "f4",
    "int64": "i8",
    "int32": "i4",
    "int16": "i2",
    "int8": "i1",
    "uint8": "u1",
    "bool": "?",
}


def expected() -> dict[str, Any]:
    """Return the tensors under ``model`` as arrays; bfloat16 as float32."""
    base = NUMBERS.astype("f4")
    return {
        **{name: NUMBERS.astype(dtype) for name, dtype in TYPES.items()},
        "whole": base,
        "transposed": base.T,
        "inside": base[1:3, ::2],
        "permuted": base.reshape(2, 3, 4).transpose(2, 0, 1),
        "number": np.array(7),
        "parameter": base + 0.5,
    }


def checkpoint() -> dict[str, Any]:
    """Return what a training program saves: weights, their average, optimizer, arguments."""
    import torch

    base = torch.from_numpy(NUMBERS).float()
    weights = {
        **{name: torch.from_numpy(NUMBERS).to(getattr(torch, name)) for name in TYPES},
        "whole": base,
        "transposed": base.T,
        "inside": base[1:3, ::2],
        "permuted": base.reshape(2, 3, 4).permute(2, 0, 1),
        "number": torch.tensor(7),
        "parameter": torch.nn.Parameter(base + 0.5),
    }
    module = torch.nn.BatchNorm1d(2)
    optimizer = torch.optim.AdamW(module.parameters(), lr=0.1)
    module(torch.ones(3, 2)).sum().backward()
    optimizer.step()
    return {
        "model": weights,
        "model_ema": {f"module.{name}": value for name, value in module.state_dict().items()},
        "optimizer": optimizer.state_dict(),
        "epoch": 299,
        "best": 0.802,
        "args": Namespace(model="efficientformer_l1", lr=1e-3, resume=None, aug=["rand", (9, 1)]),
    }


if __name__ == "__main__":
    import torch

    torch.save(checkpoint(), GOLDEN)
    torch.save(checkpoint(), LEGACY, _use_new_zipfile_serialization=False)
