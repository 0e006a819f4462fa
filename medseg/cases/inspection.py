"""What would be read at a path, row by row, in plain values: `medseg inspect`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from os.path import commonpath
from pathlib import Path
from typing import Any

from medseg.cases.find import is_apart, layout_of, list_cases
from medseg.cases.ids import check_case_ids, folded
from medseg.cases.listed import Case, images_of, lists_cases
from medseg.errors import InputError, remedy
from medseg.geometry import axis_codes, spacing_mm_of
from medseg.read import Finding, check_channel_grid, is_readable, scan, walk


def inspect_path(path: str | Path, *, voxels: bool = False, descriptions: bool = False) -> list[dict[str, Any]]:
    """Return one row a volume, refusal or skipped object of each case at `path`; see `medseg.inspect`.

    Raises
    ------
    InputError
        `FILE_MISSING`, `FILE_UNREADABLE` (a file that is no image), `CASES_EMPTY` (a folder without any).
    """
    path = Path(path).expanduser()
    cases = list_cases(path)
    if path.is_file():
        found = [(case["id"], finding) for case in cases for finding in scan(case["image"], channels=None)]
    else:
        found = [(case["id"], finding) for case in cases for finding in _scanned(case)]
    rows = [_row(name, _with_voxels(finding) if voxels else finding) for name, finding in found]
    if descriptions:
        for row, (_, finding) in zip(rows, found, strict=True):
            row |= {"series_number": finding.series_number, "description": finding.description}
    _refuse_ids(cases, rows)
    rows += [_row("", finding) for finding in _passed_over(path, cases)]
    if not rows:
        raise InputError("CASES_EMPTY", f"{path} holds no image file; give a folder of NIfTI or DICOM files")
    return rows


def _scanned(case: Case) -> list[Finding]:
    """Return what a case's paths hold, channel by channel, see `_scanned_one`."""
    first, *further = [_scanned_one(Path(path)) for path in images_of(case)]
    return [*first, *(_on_grid_of(first[0], found) for several in further for found in several)]


def _on_grid_of(first: Finding, found: Finding) -> Finding:
    """Return what was found of a channel, refused where its grid is not that of the first one."""
    try:
        check_channel_grid(first, found)
    except InputError as error:
        return replace(found, verdict="refused", codes=(error.code,), message=str(error.args[0]), load=None)
    return found


def _scanned_one(image: Path) -> list[Finding]:
    """Return what a path holds; one that cannot be read at all is a refusal, which ends no other."""
    try:
        found = scan(image, channels=None)
        if found:
            return found
        raise InputError("FILE_UNREADABLE", f"{image} holds no image; give a NIfTI file or a DICOM folder")
    except InputError as error:
        return [Finding.refused((image,), error)]


def _refuse_ids(cases: Sequence[Case], rows: Sequence[dict[str, Any]]) -> None:
    """Mark the rows of cases whose ids `find_cases` refuses, by themselves or beside each other."""
    alike: dict[str, list[Case]] = defaultdict(list)
    for case in cases:
        alike[folded(case["id"])].append(case)
    for row in rows:
        try:
            check_case_ids(alike[folded(row["case"])])
        except InputError as error:
            row |= {"verdict": "refused", "codes": [error.code], "message": str(error.args[0])}
            row["remedy"] = [remedy(error.code)]


def _passed_over(path: Path, cases: Sequence[Case]) -> Iterator[Finding]:
    """Yield the image files below a folder that are no cases, each with the reason."""
    if not path.is_dir():
        return
    root = path.resolve()
    images = {image for case in cases for image in images_of(case)}
    labels = {case["label"] for case in cases if "label" in case}
    for parent, folders, names in walk(root):
        here = Path(parent)
        folders[:] = [name for name in folders if str(here / name) not in images]
        if str(here) in images:
            return
        for file in (here / name for name in names if is_readable(name) and str(here / name) not in images):
            reason = "the label of a case" if str(file) in labels else _reason(root, file)
            yield Finding.refused((file,), InputError("CASES_PASSED_OVER", f"{file} is {reason}"), "skipped")


def _reason(root: Path, file: Path) -> str:
    if any(is_apart(folder) for folder in file.parents if root in folder.parents):
        return "among results of medseg, or among labels"
    if lists_cases(root):
        return "not listed in dataset.json"
    layout = layout_of(root)
    return "not a case" if layout is None else f"not in {layout[0]}/, where this data set has its images"


def _with_voxels(finding: Finding) -> Finding:
    """Read the voxels, and return the finding with the codes that they gave."""
    if finding.load is None:
        return finding
    try:
        codes = finding.load().codes
    except InputError as error:
        facts = {"modality": finding.modality, "series_uid": finding.series_uid}
        return Finding.refused(finding.source, error, **facts)
    return Finding(**{**vars(finding), "codes": codes})


def _row(case: str, finding: Finding) -> dict[str, Any]:
    spacing_mm, axes = None, None
    if finding.affine is not None:
        spacing_mm = [round(mm, 6) for mm in spacing_mm_of(finding.affine)]
        axes = axis_codes(finding.affine)
    return {
        "case": case,
        "source": str(finding.source[0] if len(finding.source) == 1 else commonpath(finding.source)),
        "files": len(set(finding.source)),
        "modality": finding.modality,
        "series_uid": finding.series_uid,
        "shape": list(finding.shape) if finding.shape else None,
        "channels": finding.channels,
        "spacing_mm": spacing_mm,
        "orientation": axes,
        "verdict": finding.verdict,
        "codes": list(finding.codes),
        "message": finding.message,
        "remedy": [remedy(code) for code in finding.codes],
    }
