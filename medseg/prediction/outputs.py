"""Where results may go: never over or among what is read, never over a file that is not this folder's own."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from itertools import chain, count
from pathlib import Path

from medseg.cases import Case, check_apart
from medseg.errors import InputError, some
from medseg.files import refusals, sha256_of
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
    ours = {output.path for record in records_in(folder) for output in record.outputs}
    strangers = sorted(path.name for path in taken if path.name not in ours)
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


def keep_changed(
    output_dir: str | Path, case_id: str, formats: Sequence[str], earlier: Sequence[Record]
) -> tuple[str, ...]:
    """Move results to ``kept/`` that are about to be replaced and were changed after medseg wrote them.

    Somebody may have corrected a label map by hand.

    Parameters
    ----------
    earlier
        The case's records so far.

    Returns
    -------
    tuple of str
        `OUTPUT_KEPT` where there was one; a code for the record.

    Raises
    ------
    InputError
        `OUTPUT_NO_SPACE`, `OUTPUT_UNWRITABLE`: it cannot be moved.
    """
    folder = Path(output_dir)
    written = {(output.path, output.sha256) for record in earlier for output in record.outputs}
    there = [path for path in _results(folder, case_id, formats) if path.is_file()]
    unknown = [path for path in there if not _is_announced(folder, case_id, path)]
    return _kept(path for path in unknown if (path.name, sha256_of(path)) not in written)


def keep_stale(output_dir: str | Path, record: Record, earlier: Sequence[Record]) -> tuple[str, ...]:
    """Move a case's earlier results to ``kept/`` that are of another input or model than its new record.

    A case that failed has no labels, whatever it had before its image was replaced; and a DICOM SEG of the last
    model does not stay beside this one's NIfTI.

    Parameters
    ----------
    earlier
        The case's records before `record`.

    Returns, Raises
        As `keep_changed`.
    """
    new = {output.path for output in record.outputs}
    there = [path for path in _results(Path(output_dir), record.case, SUFFIXES) if path.is_file()]
    makers = {output.path: each for each in earlier for output in each.outputs}
    stale = {name for name, maker in makers.items() if name not in new and not maker.same_labels(record)}
    return _kept(path for path in there if path.name in stale)


def _kept(paths: Iterable[Path]) -> tuple[str, ...]:
    moved = False
    for path in paths:
        with refusals(path):
            path.replace(_place_for(path))
        moved = True
    return ("OUTPUT_KEPT",) if moved else ()


def _place_for(path: Path) -> Path:
    """Return where a result is kept, which is free or holds the same; its folder is made."""
    case_id, suffix = next((path.name.removesuffix(s), s) for s in SUFFIXES.values() if path.name.endswith(s))
    folder, digest = path.parent / KEPT, sha256_of(path)
    folder.mkdir(exist_ok=True)
    names = (f"{case_id}-{digest[:8]}{again}{suffix}" for again in chain([""], map("-{}".format, count(2))))
    free = (folder / name for name in names)
    return next(kept for kept in free if not kept.exists() or sha256_of(kept) == digest)


def any_result(output_dir: str | Path, case_id: str, formats: Sequence[str]) -> bool:
    """Say whether one of a case's files is there."""
    return any(map(os.path.lexists, _results(Path(output_dir), case_id, formats)))


def _is_announced(folder: Path, case_id: str, path: Path) -> bool:
    """Say whether a file is as a run wrote it that was ended before it could record it."""
    hashes = announced(folder, case_id)
    return bool(hashes) and path.is_file() and sha256_of(path) in hashes


def _results(folder: Path, case_id: str, formats: Iterable[str]) -> list[Path]:
    return [folder / f"{case_id}{SUFFIXES[name]}" for name in formats]
