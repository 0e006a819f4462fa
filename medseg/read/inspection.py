"""What would be read at a path, row by row, in plain values: `medseg inspect`."""

from __future__ import annotations

from os.path import commonpath
from pathlib import Path
from typing import Any

from medseg.errors import InputError, remedy
from medseg.geometry import axis_codes, spacing_mm_of
from medseg.read.study import scan
from medseg.read.volume import Finding


def inspect_path(path: str | Path, *, voxels: bool = False) -> list[dict[str, Any]]:
    """Return one row a volume, refusal or skipped object at `path`; see `medseg.inspect`.

    Raises
    ------
    InputError
        `FILE_MISSING`, `FILE_UNREADABLE` (a file that is no image), `CASES_EMPTY` (a folder without any).
    """
    found = scan(path)
    if not found:
        raise InputError("CASES_EMPTY", f"{path} holds no image file; give a folder of NIfTI or DICOM files")
    return [_row(_with_voxels(finding) if voxels else finding) for finding in found]


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


def _row(finding: Finding) -> dict[str, Any]:
    spacing_mm, axes = None, None
    if finding.affine is not None:
        spacing_mm = [round(mm, 6) for mm in spacing_mm_of(finding.affine)]
        axes = axis_codes(finding.affine)
    return {
        "source": str(finding.source[0] if len(finding.source) == 1 else commonpath(finding.source)),
        "files": len(set(finding.source)),
        "modality": finding.modality,
        "series_uid": finding.series_uid,
        "shape": list(finding.shape) if finding.shape else None,
        "spacing_mm": spacing_mm,
        "orientation": axes,
        "verdict": finding.verdict,
        "codes": list(finding.codes),
        "message": finding.message,
        "remedy": [remedy(code) for code in finding.codes],
    }
