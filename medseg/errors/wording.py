"""Lists of names in messages: the first few, and how many more there are."""

from __future__ import annotations

from collections.abc import Sequence

PROBLEMS_SHOWN = 5


def some(names: Sequence) -> str:
    """Return the first few names, and how many more there are."""
    shown = ", ".join(map(str, names[:PROBLEMS_SHOWN]))
    more = len(names) - PROBLEMS_SHOWN
    return shown if more <= 0 else f"{shown} and {more} {'other' if more == 1 else 'others'}"
