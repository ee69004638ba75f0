"""Speed: beside other runtimes (`measure`), and layer by layer (`profile`)."""

from .measure import PEERS, TRAINED, Result, Timing, bench

__all__ = ["PEERS", "TRAINED", "Result", "Timing", "bench"]
