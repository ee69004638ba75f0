"""The oldest versions that npformer allows, for continuous integration.

``python tests/lowest.py`` prints the lowest version that each dependency of the installed npformer
may have, and each of its tests, as constraints for pip. ``python tests/lowest.py --check`` prints
which versions are installed, and fails unless they are these.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from importlib.metadata import requires, version


def lowest(requirements: Iterable[str], extras: Iterable[str] = ()) -> dict[str, str]:
    """Return the lowest version that is allowed, by package.

    Parameters
    ----------
    requirements : iterable of str
        As metadata list them: ``"numpy>=1.26"``, ``"pytest>=8; extra == 'test'"``.
    extras : iterable of str
        Those of these extras too.

    Raises
    ------
    ValueError
        If a requirement has no lower bound.
    """
    found = {}
    for requirement in requirements:
        needed, _, condition = requirement.partition(";")
        extra = re.search(r"extra == ['\"](.+?)['\"]", condition)
        if extra and extra[1] not in extras:
            continue
        parts = re.fullmatch(r"([\w.-]+)(?:\[.*\])?\s*[>=]=([\w.]+)\s*", needed)
        if parts is None:
            raise ValueError(f"{needed!r} has no lower bound")
        found[parts[1]] = parts[2]
    return found


def release(text: str) -> list[int]:
    """Return the numbers of a version; 1.26 and 1.26.0 are the same."""
    numbers = [int(number) for number in re.findall(r"\d+", text)]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return numbers


def main(arguments: list[str]) -> int:
    """Print the constraints, or check them; return the exit code."""
    code = 0
    for package, wanted in lowest(requires("npformer") or [], ["test"]).items():
        if "--check" not in arguments:
            print(f"{package}=={wanted}")
            continue
        found = version(package)
        right = release(found) == release(wanted)
        code |= not right
        print(f"{package} {found}" + f", but {wanted} was asked for" * (not right))
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
