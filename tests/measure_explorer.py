"""Measure the explorer in headless Chromium: size, first answer, interventions, memory.

    python tests/measure_explorer.py

Times are those of the page: from the begin of opening to the first answer on the screen, and from a
click to the new one. Memory is that of the tab's process (proportional set size), after all of it.
"""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from statistics import median

from browser import Browser, chromium

import npformer

FIRST, LAST = "stages.0.blocks.0", "stages.3.blocks.3"
CHANGES = {
    "the first block off": (f"view={FIRST}", f"change-block:{FIRST}"),
    "the last block off": (f"view={LAST}", f"change-block:{LAST}"),
    "a head off": (f"view={LAST}", f"change-head:{LAST}.token_mixer:2"),
    "the first block off, on the map": ("", f"off-{FIRST}"),
}

CLICK = """
const [id, done] = arguments;
const begun = performance.now();
const place = document.getElementById("answer");
new MutationObserver((_, observer) => {
  if (place.querySelector("#was")?.textContent === window.before) return;
  observer.disconnect();
  requestAnimationFrame(() => setTimeout(() => done(performance.now() - begun)));
}).observe(place, { childList: true, subtree: true });
window.before = place.querySelector("#was")?.textContent;
document.getElementById(id).click();
"""


def main() -> None:
    """Print a table."""
    with tempfile.TemporaryDirectory() as folder, chromium() as page:
        file = npformer.explore().save(Path(folder) / "page.html")
        print(f"{'size of the page':<40}{file.stat().st_size / 1e6:8.2f} MB")
        opened = []
        for _ in range(5):
            page.open(file)
            opened.append(page.run("return performance.getEntriesByName('answer')[0].startTime"))
        print(f"{'open to first answer':<40}{median(opened) / 1000:8.2f} s")
        for name, (address, button) in CHANGES.items():
            page.visit(address)
            taken = []
            for _ in range(5):
                taken.append(page.driver.execute_async_script(CLICK, button))
                page.settle()
                page.press("reset")
            print(f"{name:<40}{median(taken) / 1000:8.2f} s")
        print(f"{'memory of the tab':<40}{memory(page):8.0f} MB")


def memory(page: Browser) -> float:
    """Return the memory of the process that shows the page, in MB."""
    browser = page.driver.service.process.pid
    parents = {}
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            parents[int(status.parent.name)] = int(
                re.search(r"PPid:\s+(\d+)", status.read_text())[1]
            )
        except (OSError, TypeError):
            continue  # it has ended meanwhile

    def below(process: int) -> bool:
        while process in parents:
            if process == browser:
                return True
            process = parents[process]
        return False

    sizes = []
    for process in filter(below, parents):
        try:
            words = Path(f"/proc/{process}/cmdline").read_bytes().split(b"\0")
            text = Path(f"/proc/{process}/smaps_rollup").read_text()
        except OSError:
            continue
        if b"--type=renderer" in b" ".join(words).split():
            sizes.append(int(re.search(r"^Pss:\s+(\d+) kB", text, re.M)[1]) / 1024)
    return max(sizes)


if __name__ == "__main__":
    main()
