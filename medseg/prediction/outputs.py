"""Where results may go: never over or among what is read, never over a file that is not this folder's own."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from itertools import chain, count
from pathlib import Path

from medseg.cases import Case, check_apart
from medseg.errors import InputError, some
from medseg.files import sha256_of
from medseg.prediction.claims import announced
from medseg.prediction.manifest import MANIFEST, records_in
from medseg.prediction.record import Record
from medseg.write import SUFFIXES

KEPT = "kept"  # a folder of the output's, for results that were changed or are of another input or model


def check_outputs(cases: Sequence[Case], output_dir: str | Path, formats: Sequence[str]) -> None:
    """Refuse to write results where they would replace, or lie among, what is not this folder's own.

    Raises
    ------
    InputError
        `OUTPUT_WOULD_OVERWRITE`: as `medseg.cases.check_apart`, or a result would replace a file that the folder's
        manifest does not name.
    """
    check_apart(cases, output_dir)
    folder = Path(output_dir).expanduser()
    taken = [
        path
        for case in cases
        for path in _results(folder, case["id"], formats)
        if os.path.lexists(path) and not _is_announced(folder, case["id"], path)
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


def keep_changed(output_dir: str | Path, case_id: str, formats: Sequence[str]) -> tuple[str, ...]:
    """Move results to ``kept/`` that are about to be replaced and were changed after medseg wrote them.

    Somebody may have corrected a label map by hand.

    Returns
    -------
    tuple of str
        `OUTPUT_KEPT` where there was one; a code for the record.
    """
    folder = Path(output_dir)
    there = [path for path in _results(folder, case_id, formats) if path.is_file()]
    unknown = [path for path in there if not _is_announced(folder, case_id, path)]
    if not unknown:
        return ()
    written = _named(folder)
    return _kept(path for path in unknown if sha256_of(path) not in written.get(path.name, ()))


def keep_stale(output_dir: str | Path, record: Record) -> tuple[str, ...]:
    """Move a case's earlier results to ``kept/`` that are of another input or model than its new record.

    A case that failed has no labels, whatever it had before its image was replaced; and a DICOM SEG of the last
    model does not stay beside this one's NIfTI.

    Returns
    -------
    tuple of str
        `OUTPUT_KEPT` where there was one; a code for the record.
    """
    folder, new = Path(output_dir), {output.path for output in record.outputs}
    there = [path for path in _results(folder, record.case, SUFFIXES) if path.is_file() and path.name not in new]
    if not there:
        return ()
    makers = {output.path: each for each in records_in(folder) for output in each.outputs}
    named = [path for path in there if path.name in makers]
    return _kept(path for path in named if not makers[path.name].same_labels(record))


def _kept(paths: Iterable[Path]) -> tuple[str, ...]:
    moved = False
    for path in paths:
        case_id, suffix = next((path.name.removesuffix(s), s) for s in SUFFIXES.values() if path.name.endswith(s))
        digest = sha256_of(path)
        names = (f"{case_id}-{digest[:8]}{again}{suffix}" for again in chain([""], map("-{}".format, count(2))))
        free = (path.parent / KEPT / name for name in names)
        kept = next(kept for kept in free if not kept.exists() or sha256_of(kept) == digest)
        kept.parent.mkdir(exist_ok=True)
        path.replace(kept)
        moved = True
    return ("OUTPUT_KEPT",) if moved else ()


def any_result(output_dir: str | Path, case_id: str, formats: Sequence[str]) -> bool:
    """Say whether one of a case's files is there."""
    return any(map(os.path.lexists, _results(Path(output_dir), case_id, formats)))


def _is_announced(folder: Path, case_id: str, path: Path) -> bool:
    """Say whether a file is as a run wrote it that was ended before it could record it."""
    hashes = announced(folder, case_id)
    return bool(hashes) and path.is_file() and sha256_of(path) in hashes


def _results(folder: Path, case_id: str, formats: Iterable[str]) -> list[Path]:
    return [folder / f"{case_id}{SUFFIXES[name]}" for name in formats]


def _named(folder: Path) -> dict[str, set[str]]:
    """Return the files that any record of this folder names, with the hashes they had."""
    found: dict[str, set[str]] = {}
    for record in records_in(folder):
        for output in record.outputs:
            found.setdefault(output.path, set()).add(output.sha256)
    return found
