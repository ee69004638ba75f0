"""The engine: the same function as `npformer.network.model.forward`, at the speed of the machine.

    choose         compiled kernels, or the plain layers where they cannot run
    fold           consecutive linear operations become one layer
    pack           all layers in one array, in the order of use
    plan           each step knows where it reads and writes          (`builder`, `arena`, `steps`)
    walk           threads go through the steps and run the kernels   (`threads`)
    fast           a network that is ready to run                     (all of the above)
    quantize       a folded network in eight bits        (`quantized_plan`, `quantized_walk`)
    training       the same for training, forward and backward        (`training_plan`, …)
    machine_code   compiled once for a processor, and kept in a file              (`entries`)

Results are the same bits for any number of threads, any batch, and any processor with fused
multiply-add: every number is computed by one thread, in an order that the kernels' source fixes,
from operations that IEEE 754 rounds in one way (+ − × ÷ √ and fma; exp and erf consist of these).
What could break that is a compiler that reorders, which LLVM may not do here, or a processor set to
flush subnormal numbers to zero.

Numba is imported when a network is made and its compiled code is not in the cache, or for training;
nothing but the engine needs it.
"""

from .choose import ENGINES, Forward, TrainingStep, make_forward, make_gradients
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
