"""What the processor can do, as far as the layout of numbers in memory depends on it.

llvmlite is imported when it is asked for.
"""

from __future__ import annotations

from functools import cache


@cache
def features() -> dict[str, bool]:
    """What the processor has, by LLVM's names."""
    from llvmlite import binding as llvm

    return dict(llvm.get_host_cpu_features())


def has(feature: str) -> bool:
    """Whether the processor has a feature."""
    return features().get(feature, False)


def group_size() -> int:
    """How many products of whole numbers are added at once, see `npformer.kernels.integers`."""
    return 4 if has("avx512vnni") or has("avxvnni") else 2
