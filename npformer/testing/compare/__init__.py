"""Compare another implementation with the reference: the first wrong layer, and its cause.

recorded, onnx_file, torch_module    the other network's arrays, whatever it is
pictures, entrance, preprocessing    what went in
arrangement, names                   which array is the result of which step
walk                                 the local test: each step on what the other gave to it
variants, halves, explain            what mistakes compute, and what numbers tell
diagnose                             the first wrong step and the mistake that proves it
comparing, comparison, report        all of it, and its result
"""

from .causes import CAUSES

__all__ = ["CAUSES"]
