"""The kernels: the layers once more, compiled by Numba, in files of the same names.

`layout` says how numbers lie in memory, `vector` has the operations that kernels are written in,
and `linear` is where the time goes. Each kernel has a law, the plain expression that it must equal;
see ``tests/laws.py``.
"""
