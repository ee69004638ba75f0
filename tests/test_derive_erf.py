"""The coefficients of erf are what their script derives."""

from __future__ import annotations

import pytest

from npformer.layers.erf import DOUBLE, SINGLE, Rational


@pytest.mark.parametrize(
    ("name", "committed", "error"), [("SINGLE", SINGLE, 1.5e-8), ("DOUBLE", DOUBLE, 4.5e-17)]
)
def test_derived_anew(name: str, committed: Rational, error: float) -> None:
    mpmath = pytest.importorskip("mpmath")
    import derive_erf

    wanted = getattr(derive_erf, name)
    found = derive_erf.fit(wanted)
    for written, derived in ((committed.p, found.p), (committed.q, found.q)):
        assert written == tuple(float(mpmath.nstr(c, wanted.digits)) for c in derived)
        assert min(written) > 0  # nothing cancels
    assert found.error < error
    assert committed.limit > float(wanted.end)
