"""The laws of the kernels that resize photographs: each equals the plain layer to the last bit.

Images lie between bytes of chance. Nothing but the result may change; and since the plain function
sees nothing but the image, a kernel that reads beside it gives something else.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st
from quantized_laws import LAWS, law

from npformer.images.antialias import FILTERS, Taps, taps, weigh
from npformer.kernels.integers import GROUP
from npformer.kernels.layout import TAPS, pack_taps

__all__ = ["LAWS"]

Array = np.ndarray


class Bytes:
    """Bytes of chance, with an image of four bytes a pixel in them."""

    def __init__(self, draw: Any, rows: int, columns: int) -> None:
        rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
        self.rows, self.columns = rows, columns
        self.at, gap, margin = (draw(st.integers(0, 9)) for _ in range(3))
        self.step = 4 * columns + gap
        size = self.at + (rows - 1) * self.step + 4 * columns + margin
        # Levels at the ends are frequent in photographs, and are where sums are clipped.
        self.data = rng.choice(np.array([0, 255, *range(256)], np.uint8), size)

    def image(self) -> Array:
        """The image, (rows, columns, 4), as a copy."""
        return np.stack([
            self.data[self.at + row * self.step :][: 4 * self.columns].reshape(-1, 4)
            for row in range(self.rows)
        ])  # fmt: skip

    def put(self, image: Array) -> Array:
        """Return what the bytes would be with another image."""
        data = self.data.copy()
        for row, pixels in enumerate(image):
            data[self.at + row * self.step :][: 4 * self.columns] = pixels.reshape(-1)
        return data


def side(draw: Any) -> tuple[int, Taps, Array, int]:
    """Draw how a side is resized: its pixels, some weights, and these as kernels read them."""
    resample = draw(st.sampled_from(sorted(FILTERS)))
    old = draw(st.integers(4, 40))
    new = draw(st.integers(1 + 6 * old // 20, 30))
    found = taps(old, new, resample)
    first = draw(st.integers(0, new - 1))
    count = draw(st.integers(1, new - first))
    some = Taps(*(part[first : first + count] for part in found))
    packed = pack_taps(*some, old, GROUP)
    if packed is None:  # so many pixels are not there
        return side(draw)
    return old, some, *packed


@law
def weigh_along_law(draw: Any, run: Any) -> None:
    old, some, table, groups = side(draw)
    rows, columns = draw(st.integers(TAPS, 11)), len(some.start)
    x, y = Bytes(draw, rows, old), Bytes(draw, rows, columns)
    want = y.put(weigh(x.image(), some, axis=1))
    run(y.data, x.data, table, groups, columns, rows, y.at, y.step, x.at, x.step)
    np.testing.assert_array_equal(y.data, want)


@law
def weigh_down_law(draw: Any, run: Any) -> None:
    old, some, table, groups = side(draw)
    rows, columns = len(some.start), draw(st.integers(TAPS, 11))
    x, y = Bytes(draw, old, columns), Bytes(draw, rows, columns)
    want = y.put(weigh(x.image(), some, axis=0))
    run(y.data, x.data, table, groups, columns, rows, y.at, y.step, x.at, x.step)
    np.testing.assert_array_equal(y.data, want)


@law
def look_up_law(draw: Any, run: Any) -> None:
    pixels = draw(st.integers(1, 50))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    x = rng.integers(0, 256, (pixels, 4), np.uint8)
    numbers = rng.standard_normal((3, 256)).astype(np.float32)
    y = np.full(3 * pixels + 5, np.nan, np.float32)
    run(y, x.reshape(-1), numbers.reshape(-1), pixels)
    want = [numbers[color, x[:, color]] for color in range(3)]
    np.testing.assert_array_equal(y[: 3 * pixels].reshape(-1, 3), np.transpose(want))
    assert np.isnan(y[3 * pixels :]).all()
