"""What the processor can do, as far as the layout of numbers in memory depends on it."""

from __future__ import annotations

from llvmlite import binding as llvm

FEATURES: dict[str, bool] = dict(llvm.get_host_cpu_features())
"""By LLVM's names."""

VNNI_512, VNNI_256 = FEATURES.get("avx512vnni", False), FEATURES.get("avxvnni", False)
"""Whether an instruction multiplies unsigned bytes by signed ones and adds up groups of four."""
GROUP = 4 if VNNI_512 or VNNI_256 else 2
"""How many products of whole numbers an instruction adds to a sum (`npformer.kernels.integers`)."""
