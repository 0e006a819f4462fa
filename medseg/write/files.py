"""Files that are there whole or not at all: written beside their place, synced, renamed, synced again."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4


@contextmanager
def atomic(path: str | Path) -> Iterator[Path]:
    """Give a temporary path in the same folder; it becomes `path`, synced, when the block ends well.

    The temporary name ends as `path` does, so that writers which look at the suffix see the same one.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".part-{uuid4().hex[:8]}-{path.name}")
    try:
        yield part
        with part.open("rb+") as stream:
            os.fsync(stream.fileno())
        part.replace(path)
        _sync_folder(path.parent)
    finally:
        part.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Put a rename on the disk: the new name is the folder's data, not the file's."""
    if os.name == "nt":  # Windows opens no folders, and syncs their entries itself
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError:  # some network file systems sync no folders; the file itself is synced
        pass
    finally:
        os.close(descriptor)


def write_text(path: str | Path, text: str) -> None:
    """Write a text file atomically."""
    with atomic(path) as part:
        part.write_text(text, encoding="utf-8")


def write_json(path: str | Path, value: Any) -> None:
    """Write JSON atomically; NaN and infinities are refused, for JSON has none."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False) + "\n")


def write_csv(path: str | Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows as CSV atomically; all rows have the first one's columns."""
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())


def write_torch(path: str | Path, value: Any) -> None:
    """Write what ``torch.load(weights_only=True)`` reads, atomically."""
    import torch

    with atomic(path) as part:
        torch.save(value, part)


def sha256_of(path: str | Path) -> str:
    """Return a file's SHA-256 as hexadecimal digits."""
    digest = hashlib.sha256()
    with Path(path).open("rb") as stream:
        for block in iter(lambda: stream.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def append_line(path: str | Path, record: Mapping[str, Any]) -> None:
    """Append one JSON object to a ``.jsonl`` file and sync it; a line cut off by a crash is closed first."""
    line = json.dumps(record, allow_nan=False, ensure_ascii=False) + "\n"
    with Path(path).open("ab+") as stream:
        if stream.tell() > 0:
            stream.seek(-1, os.SEEK_END)
            if stream.read(1) != b"\n":
                line = "\n" + line
        stream.write(line.encode())
        stream.flush()
        os.fsync(stream.fileno())
