"""The algebra of the network: what holds of each layer whatever the numbers.

A law is a function ``law(draw, layer)`` that draws inputs by Hypothesis and asserts something of
what a layer makes of them. It needs no second implementation, and so it holds of anyone's.

    import pytest
    from hypothesis import given, strategies as st
    from npformer.testing import LAWS

    @pytest.mark.parametrize("law", LAWS["pooling"], ids=lambda law: law.name)
    @given(data=st.data())
    def test_laws(law, data):
        law(data.draw, my_pooling)

`broken_laws` does the same without pytest, and returns the laws that do not hold.
"""

from . import activations, attention, blocks, convolution, dropout, network, norms, pooling, softmax
from .law import LAWS, Law, broken_laws, close, law

__all__ = [
    "LAWS",
    "Law",
    "activations",
    "attention",
    "blocks",
    "broken_laws",
    "close",
    "convolution",
    "dropout",
    "law",
    "network",
    "norms",
    "pooling",
    "softmax",
]
