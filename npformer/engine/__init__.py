"""The engine: the same function as `npformer.network.model.forward`, at the speed of the machine.

    fold           what is linear after linear becomes one layer          (`fold`)
    plan           each step knows where it reads and writes              (`plan`)
    walk           threads go through the steps and run the kernels       (`walk`, `threads`)
    training       the same in training, forwards and backwards           (`training`)
    machine code   made once for a processor and kept                     (`machine_code`)

Results are the same bits for any number of threads, any batch, and any processor with fused
multiply-add: every number is computed by one thread, in an order that the kernels' text fixes, from
operations that IEEE 754 rounds in one way (+ − × ÷ √ and fma; exp and erf are made of these). What
could break that is a compiler that reorders, which LLVM may not do here, or a processor set to
flush subnormal numbers to zero.

Nothing of Numba is imported before a network is made, and nothing but the engine needs it.
"""

from .fast import ENGINES, Forward, TrainingStep, make_forward, make_gradients
from .threads import get_num_threads, set_num_threads

__all__ = [
    "ENGINES",
    "Forward",
    "TrainingStep",
    "get_num_threads",
    "make_forward",
    "make_gradients",
    "set_num_threads",
]
