"""The fresh set: ports in ways that the other sets lack, for one blind look at the diagnosis."""

from __future__ import annotations

from functools import partial

from . import answers

wrong = partial(answers.wrong, into=answers.FRESH)
right = partial(answers.right, into=answers.FRESH)
