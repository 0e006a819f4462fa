"""``manifest.jsonl``: one line an attempt. Light to import: no MONAI, no torch."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from medseg.files import append_line, check_writable, sweep
from medseg.prediction.record import Record

MANIFEST = "manifest.jsonl"


def records_in(output_dir: str | Path) -> Iterator[Record]:
    """Yield the records of a folder's manifest, the oldest first; a line that was cut off is none."""
    manifest = Path(output_dir) / MANIFEST
    if manifest.is_file():
        yield from _parsed(manifest.read_bytes().split(b"\n"))


def _parsed(lines: Iterable[bytes]) -> Iterator[Record]:
    for line in lines:
        with suppress(ValueError, RecursionError):  # no JSON, or brackets without end
            record = Record.from_json(json.loads(line))
            if record is not None:
                yield record


class Records:
    """The records of a folder's manifest, by case; what any process adds is read as it comes.

    Parameters
    ----------
    output_dir
        The folder.
    new
        Leave out what is there already.
    """

    def __init__(self, output_dir: str | Path, *, new: bool = False) -> None:
        self.path, self.lock = Path(output_dir) / MANIFEST, threading.Lock()
        self.read_to = self._size() if new else 0
        self.found: dict[str, list[Record]] = {}

    def _size(self) -> int:
        return self.path.stat().st_size if self.path.is_file() else 0

    def of(self, case_id: str) -> list[Record]:
        """Return a case's records, the oldest first."""
        with self.lock:
            if self._size() > self.read_to:
                with self.path.open("rb") as stream:
                    stream.seek(self.read_to)
                    whole, newline, _ = stream.read().rpartition(b"\n")  # what follows is being written
                self.read_to += len(whole) + len(newline)
                for record in _parsed(whole.split(b"\n")):
                    self.found.setdefault(record.case, []).append(record)
            return self.found.get(case_id, [])


def read_newest(output_dir: str | Path) -> dict[str, Record]:
    """Return the newest record of each case."""
    return {record.case: record for record in records_in(output_dir)}


def append(output_dir: str | Path, record: Record) -> None:
    """Add a record; see `medseg.files.append_line`."""
    append_line(Path(output_dir) / MANIFEST, record.as_json())


def make_ready(output_dir: str | Path) -> None:
    """Make the folder, clear it of what killed runs left half-written, and refuse one that cannot be written to.

    Raises
    ------
    InputError
        `OUTPUT_UNWRITABLE`, `OUTPUT_NO_SPACE`.
    """
    check_writable(output_dir, MANIFEST)
    sweep(output_dir)
