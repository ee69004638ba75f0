"""Networks whose every part matters: layer scales near 1, random statistics, random biases."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np

from npformer.network.configuration import EfficientFormerConfig
from npformer.testing.random_networks import random_network as network

SMALL = {
    "depths": (1, 1, 2, 3),
    "hidden_sizes": (12, 16, 20, 36),
    "dim": 36,
    "num_meta3d_blocks": 2,
    "num_attention_heads": 2,
    "key_dim": 5,
    "attention_ratio": 1.5,
    "resolution": 2,
    "image_size": 64,
    "id2label": {i: str(i) for i in range(7)},
}
"""Nothing in it is a multiple of 16."""


CASES = {
    "all there is": {},
    "tiles that fit": {
        "hidden_sizes": (16, 32, 48, 64),
        "dim": 64,
        "key_dim": 16,
        "attention_ratio": 2,
    },
    "seven products": {"hidden_sizes": (96, 128, 20, 36)},
    "no layer scale": {"use_layer_scale": False},
    "no attention": {"num_meta3d_blocks": 0},
    "attention only": {"depths": (1, 0, 1, 2)},
    "three stages": {
        "depths": (1, 1, 2),
        "hidden_sizes": (8, 8, 12),
        "dim": 12,
        "downsamples": (False, True, True),
        "resolution": 8,
        "num_meta3d_blocks": 1,
    },
    "one stage": {
        "depths": (2,),
        "hidden_sizes": (12,),
        "dim": 12,
        "resolution": 16,
        "num_meta3d_blocks": 1,
    },
    "wide pool": {"pool_size": 5},
    "relu": {"hidden_act": "relu"},
    "other windows": {
        "downsample_patch_size": 2,
        "downsample_pad": 0,
        "downsample_stride": 2,
    },
    "no labels": {"id2label": {}},
    "one color": {"num_channels": 1},
}
"""What each network has that the small one has not."""

TWO = "all there is", "seven products"
"""Those whose bits are compared most: with no multiple of 16, and with pairs of rows."""


def config(**changes: object) -> EfficientFormerConfig:
    made = EfficientFormerConfig(**(SMALL | changes))
    made.validate()
    return made


def images(count: int, height: int = 64, width: int = 64, seed: int = 1) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.standard_normal((count, height, width, 3)).astype(np.float32)


def check_buffers(plan: Any) -> None:
    """Those that are needed at the same time lie apart, and all of them in the arena."""
    every = [b for pending in plan._pending for b in pending.buffers.values()]
    buffers = {id(b): b for b in every if not b.outside}.values()
    for a in buffers:
        assert 0 <= a.at <= plan.size - plan._size(a)
        for b in buffers:
            alive = a is not b and a.last_use >= b.first_use and b.last_use >= a.first_use
            assert not alive or a.at + plan._size(a) <= b.at or b.at + plan._size(b) <= a.at


PRELUDE = """
import os, sys, threading, warnings
import numpy as np
from engine_cases import *
from npformer import engine
from npformer.network import forward
p, c, x = network(config()), config(), images(3)
want = forward(x, p, c).logits
def check(logits):
    assert np.abs(logits - want).max() < 2e-5 * np.abs(want).max(), np.abs(logits - want).max()
"""


def in_a_process(script: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a script after `PRELUDE` in a process of its own; it has to end well."""
    import os

    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PRELUDE + script],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)} | environment,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def logits_of(x: np.ndarray) -> np.ndarray:
    from npformer import engine

    return engine.make_forward(network(config()), config(), "numba")(x).logits
