"""Whether a shape and an affine span a grid that a network can be trained on; for what may hold any."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from medseg.errors import InputError
from medseg.geometry import spacing_mm_of

SPACING_RANGE_MM = (1e-3, 100.0)  # from micro-CT to a scout's gap; beyond it the unit in the header is wrong
SHEAR_TOLERANCE_RAD = 1e-3  # how far the angle between two axes may be from 90°
DEPENDENT_VOLUME = 1e-6  # axes of length one that span less lie in one plane


def shape_3d(dims: Sequence[int], path: object) -> tuple[int, int, int]:
    """Return a shape as one of three axes: a third of length one is added, further ones of length one are dropped.

    Raises
    ------
    InputError
        `IMAGE_EMPTY`, `GEOMETRY_NOT_3D`.
    """
    if prod(dims) == 0 or not dims:
        raise InputError("IMAGE_EMPTY", f"{path} has shape {tuple(dims)} and so no voxel; export it again")
    if len(dims) == 1 or prod(dims[3:]) != 1:
        raise InputError(
            "GEOMETRY_NOT_3D",
            f"{path} has shape {tuple(dims)}; one 3D volume at a time: split it",
        )
    i, j, k = (*dims[:3], 1)[:3]
    return i, j, k


def check_count(there: int, wanted: int | None, path: object) -> None:
    """Refuse another number of channels than `wanted`; None takes any.

    Raises
    ------
    InputError
        `CHANNELS_MISMATCH`.
    """
    if wanted is not None and there != wanted:
        has, needs = (f"{n} channel{'s' * (n != 1)}" for n in (there, wanted))
        raise InputError(
            "CHANNELS_MISMATCH",
            f"{path} has {has}, and {needs} are needed, in the order that the model was trained with; give a "
            "list of images, one a channel, or one 4D NIfTI with the channels along its last axis",
        )


def check_axes(affine: np.ndarray, path: object) -> None:
    """Refuse an affine whose axes are not three, at right angles, of a length that voxels have.

    Parameters
    ----------
    affine
        4×4, voxel index to millimetres. A left-handed one is fine.

    Raises
    ------
    InputError
        `GEOMETRY_BAD_AFFINE` for NaN, infinite, zero or dependent axes and spacings outside
        `SPACING_RANGE_MM`; `GEOMETRY_SHEARED` for axes more than `SHEAR_TOLERANCE_RAD` off 90°.
    """
    if not np.isfinite(affine).all():
        raise _bad(path, "its affine holds NaN or infinity")
    spacing_mm = np.array(spacing_mm_of(affine))
    low, high = SPACING_RANGE_MM
    if not ((spacing_mm >= low * (1 - 1e-6)) & (spacing_mm <= high)).all():
        found = " × ".join(f"{s:.3g}" for s in spacing_mm)
        raise _bad(path, f"its voxels measure {found} mm, and {low:g} to {high:g} mm is allowed")
    axes = affine[:3, :3] / spacing_mm
    if abs(np.linalg.det(axes)) < DEPENDENT_VOLUME:
        raise _bad(path, "two of its axes, or all three, lie in one plane or line")
    off_90 = np.abs(np.arcsin(np.clip(axes.T @ axes - np.diag(np.diag(axes.T @ axes)), -1, 1))).max()
    if off_90 > SHEAR_TOLERANCE_RAD:
        raise InputError(
            "GEOMETRY_SHEARED",
            f"{path}: two axes are {np.degrees(off_90):.3g}° off a right angle, and "
            f"{np.degrees(SHEAR_TOLERANCE_RAD):.2g}° is allowed; resample it to an orthogonal grid first",
        )


def _bad(path: object, found: str) -> InputError:
    return InputError("GEOMETRY_BAD_AFFINE", f"{path}: {found}; export it again with a valid orientation")
