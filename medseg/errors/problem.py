"""What a problem's code stands for."""

from __future__ import annotations

from typing import NamedTuple


class Problem(NamedTuple):
    """What a code stands for, in Markdown."""

    outcome: str
    meaning: str
    remedy: str


REFUSED, SKIPPED, TOLERATED = "refused", "skipped", "tolerated"
