"""The kernels: Numba twins of the layers, under the same names.

`layout` says how numbers lie in memory, `vector` has the words that the kernels are written in, and
`linear` is where the time goes. Each kernel has a law, the plain expression that it must equal; see
``tests/laws.py``.
"""
