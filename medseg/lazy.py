"""Names that a room imports when they are first used: torch and MONAI cost seconds that ``--help`` should not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def lazy_names(room: str, files: Mapping[str, str]) -> Callable[[str], Any]:
    """Return the ``__getattr__`` of a room's face.

    Parameters
    ----------
    room
        The package's name.
    files
        For each name, the file of the room that defines it.
    """

    def get(name: str) -> Any:
        if name not in files:
            raise AttributeError(f"module {room!r} has no attribute {name!r}")
        return getattr(import_module(f"{room}.{files[name]}"), name)

    return get
