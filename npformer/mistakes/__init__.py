"""The mistakes that people make when they write a layer for the first time.

Each exercise is a layer of npformer, a way to draw inputs for it, and a table of typical mistakes:
what to call it, what to think about, and *the layer with this mistake in it*. `npformer.check`
recognises a mistake by running it. To teach it a new one, add a line.

Most are written with the right layers and one thing changed: a mistake in a block is that block
with other parameters, or with one step left out.
"""

from .backward import BACKWARD
from .exercise import Draw, Exercise, Mistake
from .fold import FOLD
from .forward import FORWARD

EXERCISES: dict[str, Exercise] = {**FORWARD, **BACKWARD, **FOLD}
"""What `npformer.check` knows, by name."""

__all__ = ["EXERCISES", "Draw", "Exercise", "Mistake"]
