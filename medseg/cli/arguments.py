"""Words of the command line to values."""

from __future__ import annotations

from typing import Any

from medseg.errors import InputError

JSON_WORDS = {"null": "None", "true": "True", "false": "False"}  # as the configs have them


def parse_tolerances(words: list[str]) -> Any:
    """Return ``2`` as one tolerance, and ``1=2 3=4`` as ``{label: mm}``; what they hold is checked later."""
    return dict(word.partition("=")[::2] for word in words) if "=" in "".join(words) else words[-1]


def parse_overrides(pairs: list[str]) -> dict[str, Any]:
    """Return ``{"key": value}`` from ``key=value`` words; values are Python's or JSON's where they read as one."""
    import ast

    values: dict[str, Any] = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals or not key:
            raise InputError("CONFIG_BAD_VALUE", f"{pair!r}: overrides are written key=value")
        try:
            values[key.lstrip("-")] = ast.literal_eval(JSON_WORDS.get(text, text))
        except (ValueError, SyntaxError):
            values[key.lstrip("-")] = text
    return values
