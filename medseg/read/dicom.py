"""DICOM files, wherever they lie below a folder, to the volumes they form.

A file's name, folder and number mean nothing here: files belong together by SeriesInstanceUID, and a slice
lies where its header puts it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pydicom

from medseg.errors import InputError
from medseg.read.dicom_header import DicomFile, Skipped, read_header
from medseg.read.dicom_pixels import identical, read_pixels
from medseg.read.dicom_series import Stack, stacks
from medseg.read.dicom_values import quiet
from medseg.read.volume import Finding, Volume, check_fits
from medseg.read.voxels import is_constant


def scan_dicom(paths: Iterable[Path], repairs: Sequence[str] = ()) -> list[Finding]:
    """Say what volumes these files form, by their headers; files that are not DICOM are passed over.

    What `repairs` name (see `medseg.read_volume`) is brought to a straight grid instead of being refused.
    """
    series: dict[object, list[DicomFile]] = {}
    with quiet():
        for path in paths:
            file = read_header(path)
            if file is not None:
                series.setdefault(file.series_uid or path.parent, []).append(file)
        return [finding for files in series.values() for finding in _scan_series(files, repairs)]


def files_below(folder: Path) -> list[Path]:
    """Return the files of a folder and its subfolders, hidden ones left out, sorted; links are followed."""
    found = [Path(parent, name) for parent, _, names in walk(folder) for name in names]
    return [path for path in found if path.is_file() and not is_dicomdir(path)]


def walk(folder: Path) -> Iterator[tuple[str, list[str], list[str]]]:
    """Go through a folder as `os.walk` does, sorted, each folder once even where links lead back to it.

    Raises
    ------
    InputError
        `FILE_UNREADABLE`: a folder may not be opened; what is in it must not be missing without a word.
    """

    def refuse(error: OSError) -> None:
        raise InputError(
            "FILE_UNREADABLE", f"{error.filename} cannot be opened ({error.strerror}); change its permissions"
        ) from error

    seen: set[str] = set()
    for parent, folders, names in os.walk(folder, followlinks=True, onerror=refuse):
        seen.add(os.path.realpath(parent))
        folders[:] = sorted(n for n in folders if n[0] != "." and os.path.realpath(Path(parent, n)) not in seen)
        yield parent, folders, sorted(name for name in names if name[0] != ".")


def is_dicomdir(path: Path) -> bool:
    """Say whether the name is that of a medium's index; some systems mount it in small letters."""
    return path.name.upper() == "DICOMDIR"


def files_of_dicomdir(path: Path) -> tuple[list[Path], list[Finding]]:
    """Return the files that a ``DICOMDIR`` lists (PS3.3 F), and a refusal for each that is outside or missing."""
    root = path.parent.resolve()
    files, refused = [], []
    try:
        with quiet():
            records = pydicom.dcmread(path).get("DirectoryRecordSequence") or []
            named = [record.ReferencedFileID for record in records if record.get("ReferencedFileID")]
    except Exception as error:  # pydicom raises what the broken bytes led it to
        raise InputError("FILE_UNREADABLE", f"{path} is no DICOMDIR ({type(error).__name__})") from None
    for parts in named:
        file = root.joinpath(*([parts] if isinstance(parts, str) else parts)).resolve()
        if not file.is_relative_to(root):
            outside = InputError(
                "DICOM_OUTSIDE_ROOT", f"{path} names a file outside its folder; it was not opened"
            )
            refused.append(Finding.refused((path,), outside))
        elif not file.is_file():
            missing = InputError(
                "FILE_MISSING", f"{file} is listed in {path} and is not there; copy the medium again"
            )
            refused.append(Finding.refused((path,), missing))
        else:
            files.append(file)
    return files, refused


def _scan_series(files: Sequence[DicomFile], repairs: Sequence[str]) -> list[Finding]:
    """Return the volumes of one series, or the refusal that holds for all of it."""
    found: list[Finding] = []
    skipped: dict[str, list[DicomFile]] = {}
    for file in files:
        if isinstance(file.problem, Skipped):
            skipped.setdefault(file.problem.code, []).append(file)
    for some in skipped.values():
        found.append(_refused(some, some[0].problem, "skipped"))
    images = [file for file in files if not isinstance(file.problem, Skipped)]
    if not images:
        return found
    broken = next((file for file in images if file.problem is not None), None)
    if broken is not None:
        return [*found, _refused(images, broken.problem)]
    name = f"the series in {images[0].path.parent}" if len(images) > 1 else str(images[0].path)
    try:
        grids = stacks(name, [s for file in images for s in file.slices], identical, repairs)
    except InputError as error:
        return [*found, _refused(images, error, "skipped" if error.code == "DICOM_SCOUT" else "refused")]
    by_path = {file.path: file for file in images}
    return [*found, *(_volume(stack, by_path[stack.slices[0].path], tuple(skipped)) for stack in grids)]


def _refused(files: Sequence[DicomFile], error: InputError | None, verdict: str = "refused") -> Finding:
    assert error is not None
    first = files[0]
    return Finding.refused(
        tuple(file.path for file in files),
        error,
        verdict,
        modality=first.modality,
        series_uid=first.series_uid,
        series_number=first.series_number,
        description=first.description,
    )


def _volume(stack: Stack, file: DicomFile, left_out: tuple[str, ...]) -> Finding:
    rows, columns = stack.slices[0].size
    frames = tuple(s.frame for s in stack.slices if s.frame)
    source = tuple(s.path for s in stack.slices)
    if frames and len(set(source)) == 1:
        source = source[:1]
    codes = tuple(dict.fromkeys((*stack.codes, *left_out)))
    return Finding(
        source,
        "ok",
        codes,
        modality=file.modality,
        series_uid=file.series_uid,
        shape=stack.repair.shape if stack.repair else (columns, rows, len(stack.slices)),
        affine=stack.affine,
        series_number=file.series_number,
        description=file.description,
        load=partial(_load, stack, file, source, frames, codes),
    )


def _load(
    stack: Stack, file: DicomFile, source: tuple[Path, ...], frames: tuple[int, ...], codes: tuple[str, ...]
) -> Volume:
    with quiet():
        array = read_pixels(stack.slices)
    if is_constant(array.reshape(-1, order="A")):
        codes += ("IMAGE_CONSTANT",)
    if stack.repair is not None:
        check_fits(stack.repair.bytes_needed(array.dtype), stack.slices[0].path)
        array = stack.repair.straight(array, file.modality)
    affine = np.array(stack.affine)
    return Volume(array, affine, file.modality, file.series_uid, codes, source, frames, stack.repair)
