"""``manifest.jsonl``: one line an attempt. Light to import: no MONAI, no torch."""

from __future__ import annotations

import json
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


class NewRecords:
    """What is added to a folder's manifest from now on, by any process."""

    def __init__(self, output_dir: str | Path) -> None:
        self.path = Path(output_dir) / MANIFEST
        self.read_to = self._size()
        self.found: dict[str, Record] = {}

    def _size(self) -> int:
        return self.path.stat().st_size if self.path.is_file() else 0

    def newest(self, case_id: str) -> Record | None:
        """Return the newest record of a case that was added; None where none was."""
        if self._size() > self.read_to:
            with self.path.open("rb") as stream:
                stream.seek(self.read_to)
                whole, newline, _ = stream.read().rpartition(b"\n")  # what follows is being written
            self.read_to += len(whole) + len(newline)
            self.found |= {record.case: record for record in _parsed(whole.split(b"\n"))}
        return self.found.get(case_id)


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
