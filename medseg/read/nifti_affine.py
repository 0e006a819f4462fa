"""Where a NIfTI header puts its voxels: by sform, else qform, else voxel sizes (nifti1.h, "3D orientation")."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from nibabel.spatialimages import HeaderDataError
from nibabel.volumeutils import shape_zoom_affine

from medseg.errors import InputError
from medseg.geometry import axis_codes, corners_apart_mm, spacing_mm_of
from medseg.read.grid import check_axes

FORMS_TOLERANCE_MM = 0.1  # between the same corner by both forms; float32 quaternions are no better near 180°
FORMS_SPACING_TOLERANCE = 0.01  # as a share: forms that differ by more are not of one image
UNIT_MM = {1: 1000.0, 3: 1e-3}  # xyzt_units & 7: metres, micrometres; 2 is mm, and what is not said is taken as mm


def affine_of(header: Any, shape: tuple[int, int, int], path: Path) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return the affine, 4×4, voxel index to RAS+ mm, and what was tolerated.

    A form counts as set where its code is above 0. Where both are, the sform is used; they may disagree in
    where the grid lies (`GEOMETRY_FORMS_DISAGREE`, tolerated) and not in its axes or spacing. Where none is,
    nibabel's convention for Analyze is followed: axes run left, anterior, superior from a centred origin
    (`GEOMETRY_NO_FORM`, tolerated).

    Raises
    ------
    InputError
        `GEOMETRY_BAD_AFFINE`, `GEOMETRY_SHEARED`, `GEOMETRY_FORMS_DISAGREE`.
    """
    to_mm = np.diag([UNIT_MM.get(int(header["xyzt_units"]) & 7, 1.0)] * 3 + [1.0])
    codes: tuple[str, ...] = ()
    with np.errstate(all="ignore"):  # what is not a number is refused by its result
        if int(header["sform_code"]) > 0:
            affine = to_mm @ header.get_sform(coded=False).astype(np.float64)
            if int(header["qform_code"]) > 0 and not _agree(affine, _qform(header, shape), to_mm, shape, path):
                codes = ("GEOMETRY_FORMS_DISAGREE",)
        elif int(header["qform_code"]) > 0:
            qform = _qform(header, shape)
            if qform is None:
                raise InputError(
                    "GEOMETRY_BAD_AFFINE",
                    f"{path}: its qform has no valid rotation or voxel size, and there is no sform; "
                    "export it again with a valid orientation",
                )
            affine = to_mm @ qform
        else:
            affine, codes = to_mm @ shape_zoom_affine(shape, _sizes(header, shape), True), ("GEOMETRY_NO_FORM",)
        check_axes(affine, path)
    return affine, codes


def _agree(sform: np.ndarray, qform: np.ndarray | None, to_mm: np.ndarray, shape: tuple, path: Path) -> bool:
    """Compare the forms; refuse two that cannot be of one image."""
    if qform is None:  # it places nothing, so that it cannot contradict
        return False
    qform = to_mm @ qform
    apart_mm = corners_apart_mm(sform, shape, qform, shape)
    if apart_mm <= FORMS_TOLERANCE_MM:
        return True
    if not np.isfinite(sform).all() or np.linalg.matrix_rank(sform[:3, :3]) < 3:
        return False  # a broken sform is refused as such
    sizes = [np.array(spacing_mm_of(form)) for form in (sform, qform)]
    same_size = (np.abs(sizes[0] / sizes[1] - 1) <= FORMS_SPACING_TOLERANCE).all()
    if not (same_size and axis_codes(sform) == axis_codes(qform)):
        raise InputError(
            "GEOMETRY_FORMS_DISAGREE",
            f"{path}: sform and qform put a corner {apart_mm:.3g} mm apart and differ in axes or voxel size; "
            "delete the wrong one (set its code to 0), which one only the file's maker knows",
        )
    return False


def _qform(header: Any, shape: tuple[int, int, int]) -> np.ndarray | None:
    """Return the qform in the file's units, or None where its numbers describe none."""
    header = header.copy()
    # 0 "should not occur" and counts as 1 (nifti1.h, "3D orientation"); nibabel would refuse it.
    header["pixdim"][0] = -1.0 if header["pixdim"][0] < 0 else 1.0
    header["pixdim"][1:4] = _sizes(header, shape)
    try:
        qform = header.get_qform(coded=False)
    except (HeaderDataError, ValueError):
        return None
    qform = np.asarray(qform, dtype=np.float64)
    usable = np.isfinite(qform).all() and min(spacing_mm_of(qform)) > 0
    return qform if usable else None


def _sizes(header: Any, shape: tuple[int, int, int]) -> np.ndarray:
    """Return the voxel sizes in the file's units; a 2D image need not have a third."""
    sizes = header["pixdim"][1:4].astype(np.float64)
    if shape[2] == 1 and sizes[2] == 0:
        sizes[2] = 1.0
    return sizes
