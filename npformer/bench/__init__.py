"""Speed: beside other runtimes (`measure`), and layer by layer (`profile`)."""

from .measure import PEERS, TRAINED, bench
from .table import Result, Timing

__all__ = ["PEERS", "TRAINED", "Result", "Timing", "bench"]
