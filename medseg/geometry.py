"""Where voxels lie: affines, spacings, axes, corners. World is RAS+ millimetres; DICOM and ITK count in LPS.

An affine is 4×4 and takes a voxel's index to its centre in mm.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from nibabel.orientations import aff2axcodes

GRID_TOLERANCE_MM = 1e-3  # how far the corners of two volumes on one grid may lie apart


def spacing_mm_of(affine: np.ndarray) -> tuple[float, ...]:
    """Return the distance of neighbouring voxels along each axis in mm; of a plane (3×3) too."""
    return tuple(float(mm) for mm in np.linalg.norm(affine[:-1, :-1], axis=0))


def axis_codes(affine: np.ndarray) -> str:
    """Return where the axes run, such as ``"RAS"``."""
    return "".join(aff2axcodes(affine))


def lps_to_ras(affine: np.ndarray) -> np.ndarray:
    """Return an affine to LPS mm as one to RAS+ mm, or the other way round: the first two signs change."""
    return np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine


def corners(shape: Sequence[int]) -> np.ndarray:
    """Return the indices (8, 3) of the voxels at the corners of a volume."""
    return np.array(list(np.ndindex(2, 2, 2))) * (np.asarray(shape) - 1)


def to_world(affine: np.ndarray, indices: np.ndarray) -> np.ndarray:
    """Return the points (n, 3) of voxel indices (n, 3): mm, or another grid's indices if `affine` leads there."""
    return (np.c_[indices, np.ones(len(indices))] @ affine.T)[:, :3]


def shifted(affine: np.ndarray, begin: Sequence[float] | np.ndarray) -> np.ndarray:
    """Return the affine of the grid that begins at the voxel `begin` of this one, as a crop does."""
    moved = np.array(affine, dtype=float)
    moved[:3, 3] = to_world(affine, np.asarray(begin, dtype=float)[None])[0]
    return moved


def corners_apart_mm(
    first: np.ndarray, first_shape: Sequence[int], second: np.ndarray, shape: Sequence[int]
) -> float:
    """Return the largest distance of two corresponding corner voxels of two grids."""
    places = to_world(first, corners(first_shape)) - to_world(second, corners(shape))
    return float(np.linalg.norm(places, axis=1).max())


def parallel_axes(step: np.ndarray, shape: Sequence[int], tolerance_voxels: float) -> np.ndarray | None:
    """Return for each axis of one grid the axis of another that it runs along.

    Parameters
    ----------
    step
        4×4, index on the one grid to index on the other.
    shape
        Of the one grid.
    tolerance_voxels
        How far an axis may stray, from end to end.

    Returns
    -------
    np.ndarray or None
        A permutation of 0, 1, 2; None where the axes are not parallel.
    """
    stray = np.abs(step[:3, :3])
    along = stray.argmax(axis=0)
    stray[along, range(3)] = 0
    if sorted(along) != [0, 1, 2] or (stray @ np.asarray(shape)).max() > tolerance_voxels:
        return None
    return along
