"""The last set: kept until the diagnosis was done, to be looked at once."""

from __future__ import annotations

from functools import partial

from . import answers

wrong = partial(answers.wrong, into=answers.LAST)
right = partial(answers.right, into=answers.LAST)
