"""References in a config, ``@id``: each has to lead to something in the config or its metadata."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from typing import Any

from medseg.bundle.metadata import META
from medseg.errors import InputError

REFERENCE = re.compile(r"(?<![\w.\])'\"])@(\w+(?:(?:::|#)\w+)*)")


def check_references(values: Mapping[str, Any], file: str) -> None:
    """Refuse a reference to an id that is neither in a config nor in its metadata.

    Raises
    ------
    InputError
        `CONFIG_UNKNOWN_KEY`, with the nearest id.
    """
    for place, text in _expressions(values):
        for reference in REFERENCE.findall(text):
            missing, names = _missing(values, reference)
            if missing is not None:
                where = "metadata.json" if reference.startswith(META) else file
                near = difflib.get_close_matches(missing, names, n=1)
                hint = f"did you mean {near[0]!r}?" if near else "add it, or take the reference out"
                raise InputError(
                    "CONFIG_UNKNOWN_KEY",
                    f"{file}, {place} reads @{reference}, and {where} has no {missing!r}; {hint}",
                )


def _missing(values: Mapping[str, Any], reference: str) -> tuple[str | None, list[str]]:
    """Return the part of a reference that leads nowhere, and the names there are; None where all is there."""
    found: Any = values
    for part in reference.replace("::", "#").split("#"):
        if isinstance(found, list):
            found = dict(zip(map(str, range(len(found))), found, strict=True))
        if not isinstance(found, Mapping):
            return None, []  # inside of what is computed
        if part not in found:
            return part, [str(name) for name in found]
        found = found[part]
    return None, []


def _expressions(value: Any, place: str = "") -> Iterator[tuple[str, str]]:
    """Yield the place and the text of each value that MONAI computes, metadata left out."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            if key != META:
                yield from _expressions(item, f"{place}::{key}" if place else str(key))
    elif isinstance(value, list):
        for n, item in enumerate(value):
            yield from _expressions(item, f"{place}::{n}")
    elif isinstance(value, str) and value.startswith(("@", "$")):
        yield place, value
