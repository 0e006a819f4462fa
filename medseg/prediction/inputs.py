"""Whether an input is still what was read: its content by hash, and what tells without reading it all again."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from medseg.errors import InputError
from medseg.files import sha256_of
from medseg.read import Paths, files_of

T = TypeVar("T")


@dataclass(frozen=True)
class InputState:
    """What a case's input was when it was read.

    Attributes
    ----------
    sha256
        Of the content of its files, whatever they are called and wherever they lie.
    stamp
        Of their names, sizes, times and places on the disk: as long as it is the same, so is the content.
    """

    sha256: str = ""
    stamp: str = ""

    def as_json(self) -> dict[str, str]:
        return {"sha256": self.sha256, "stamp": self.stamp}

    @classmethod
    def from_json(cls, value: Any) -> InputState:
        """Return a manifest's object; an empty state, which no input has, for what is none."""
        known = value if isinstance(value, dict) else {}
        return cls(*(text if isinstance(text := known.get(key), str) else "" for key in ("sha256", "stamp")))

    def is_of(self, path: Paths) -> bool:
        """Say whether the input at `path` is this one; its content is read only where the stamp is another."""
        try:
            return bool(self.sha256) and (self.stamp == stamp_of(path) or self.sha256 == content_sha256(path))
        except (OSError, InputError):  # it is gone, or may not be read
            return False


def stamp_of(path: Paths) -> str:
    """Return a hash of what the file system says of an input's files.

    The time of a file's last change of state is among it, which no copying sets back as it does the time of the
    content's.
    """
    digest = hashlib.sha256()
    for file in files_of(path):
        found = file.stat()
        facts = (str(file), found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino)
        digest.update(repr(facts).encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def content_sha256(path: Paths) -> str:
    """Return a hash of the content of an input's files; of one file, the file's own.

    Of several paths, one a channel, the order counts.
    """
    if not isinstance(path, (str, Path)):
        channels = [content_sha256(one) for one in path]
        return channels[0] if len(channels) == 1 else hashlib.sha256(",".join(channels).encode()).hexdigest()
    hashes = sorted(sha256_of(file) for file in files_of(path))
    return hashes[0] if len(hashes) == 1 else hashlib.sha256("".join(hashes).encode()).hexdigest()


def read_unchanged(path: Paths, read: Callable[[], T]) -> tuple[T, InputState]:
    """Return what `read` reads at `path`, and the state of the input that it read.

    Raises
    ------
    InputError
        `FILE_CHANGED`: the input was written to meanwhile, so nobody can tell what was read.
    """
    stamp = stamp_of(path)
    found = read()
    state = InputState(content_sha256(path), stamp)
    if stamp_of(path) != stamp:
        raise InputError("FILE_CHANGED", f"{path} was written to while it was read; run the same line again")
    return found, state
