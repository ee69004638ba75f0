"""The busy neighbor of `npformer.bench.beside`, a process: ``python -m npformer.bench.neighbor``.

It reads ``work`` and ``rest`` from standard input, and repeats each when it has understood it.
"""

from __future__ import annotations

import sys
from threading import Event, Thread


def main() -> None:
    """Be the neighbor: do arithmetic between ``work`` and ``rest``, until standard input ends."""
    working = Event()
    ended = Event()

    def listen() -> None:
        for line in sys.stdin:
            word = line.strip()
            if word == "work":
                working.set()
            else:
                working.clear()
            print(word, flush=True)
        ended.set()
        working.clear()

    Thread(target=listen, daemon=True).start()
    number = 1
    while not ended.is_set():
        working.wait(0.05)
        while working.is_set():
            for _ in range(1000):
                number = number * 1103515245 % 2147483647


if __name__ == "__main__":
    main()
