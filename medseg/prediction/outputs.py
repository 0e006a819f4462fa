"""Where results may go: never over or among what is read, never over a file that is not this folder's own."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from medseg.cases import Case
from medseg.errors import InputError, some
from medseg.files import touch
from medseg.prediction.manifest import MANIFEST, records_in
from medseg.write import SUFFIXES

WRITING = ".writing-"  # and a case's id: files of it may be there that the manifest does not name yet


def check_outputs(cases: Sequence[Case], output_dir: str | Path, formats: Sequence[str]) -> None:
    """Refuse to write results where they would replace, or lie among, what is not this folder's own.

    Raises
    ------
    InputError
        `OUTPUT_WOULD_OVERWRITE`: `output_dir` holds an image or a label of these cases, or lies in a folder that
        is one (a DICOM series), or a result would replace a file that the folder's manifest does not name.
    """
    folder = Path(output_dir).expanduser()
    real = Path(os.path.realpath(folder))
    above = {real, *real.parents}
    read = [path for case in cases for path in _read_by(case)]
    among = sorted({path.name for path in read if real in _holding(path) or Path(os.path.realpath(path)) in above})
    if among:
        raise InputError(
            "OUTPUT_WOULD_OVERWRITE",
            f"output {output_dir} holds {some(among)}, read as image or label: results would lie among them or "
            "replace them; give a folder of its own",
        )
    taken = [
        path
        for case in cases
        for path in (folder / f"{case['id']}{SUFFIXES[name]}" for name in formats)
        if os.path.lexists(path) and not _marker(folder, case["id"]).exists()
    ]
    if not taken:
        return
    # Read after the look at the files: another run names a file before it takes its mark away.
    ours = {folder / name for name in _named(folder)}
    strangers = sorted(path.name for path in taken if path not in ours)
    if strangers:
        raise InputError(
            "OUTPUT_WOULD_OVERWRITE",
            f"output {output_dir} holds {some(strangers)}, and no {MANIFEST} there says that medseg wrote it; "
            "move it away, or give another folder",
        )


def check_is_not_input(data: str | Path, output_dir: str | Path) -> None:
    """Refuse to write results to the very folder that cases are looked for in, at any depth.

    Raises
    ------
    InputError
        `OUTPUT_WOULD_OVERWRITE`.
    """
    if os.path.realpath(Path(data).expanduser()) == os.path.realpath(Path(output_dir).expanduser()):
        raise InputError(
            "OUTPUT_WOULD_OVERWRITE", f"output {output_dir} is the input; give the results a folder of their own"
        )


def _read_by(case: Case) -> list[Path]:
    return [Path(case[key]) for key in ("image", "label") if case.get(key)]


def _holding(path: Path) -> set[Path]:
    """Return the folders that a file or folder lies in, that of a link and that of what it leads to."""
    return {Path(os.path.realpath(path.parent)), Path(os.path.realpath(path)).parent}


def _named(folder: Path) -> Iterator[str]:
    """Yield the files that any record of this folder names."""
    for record in records_in(folder):
        yield from (output.path for output in record.outputs)


def _marker(folder: Path, case_id: str) -> Path:
    path = folder / case_id
    return path.with_name(WRITING + path.name)


def announce(output_dir: str | Path, case_id: str) -> None:
    """Mark that a case's files are about to come: if this run is killed, the next one knows them for its own.

    Raises
    ------
    InputError
        `OUTPUT_NO_SPACE`, `OUTPUT_UNWRITABLE`.
    """
    touch(_marker(Path(output_dir), case_id))


def forgotten(output_dir: str | Path, case_id: str, formats: Sequence[str]) -> None:
    """Take the mark of a failed write away where it left no file: what comes there later is not ours."""
    if not any(os.path.lexists(Path(output_dir) / f"{case_id}{SUFFIXES[name]}") for name in formats):
        recorded(output_dir, case_id)


def recorded(output_dir: str | Path, case_id: str) -> None:
    """Take the mark away: the manifest names the case's files now."""
    with suppress(OSError):
        _marker(Path(output_dir), case_id).unlink()
