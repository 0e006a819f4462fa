"""``manifest.jsonl``: one line an attempt. Light to import: no MONAI, no torch."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from medseg.files import append_line, check_writable, sweep
from medseg.prediction.record import Record

MANIFEST = "manifest.jsonl"


def records_in(output_dir: str | Path) -> Iterator[Record]:
    """Yield the records of a folder's manifest, the oldest first; a line that was cut off is none."""
    manifest = Path(output_dir) / MANIFEST
    if manifest.is_file():
        for line in manifest.read_bytes().split(b"\n"):
            with suppress(ValueError, RecursionError):  # no JSON, or brackets without end
                record = Record.from_json(json.loads(line))
                if record is not None:
                    yield record


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
