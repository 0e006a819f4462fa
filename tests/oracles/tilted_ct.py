"""CT of a solid that is known at every point in space, scanned by a tilted gantry or at uneven distances."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from pydicom.uid import CTImageStorage

from oracles.dicom_series import SPACING_MM, rotation, write_series

HALF_AXES_MM = np.array([32.0, 36.0, 41.0])
TURNED = rotation((1.0, -2.0, 1.5), 0.7)
CENTRE_RAS_MM = np.array([3.0, -4.0, 5.0])
EDGE_MM = 4.0  # how softly the solid ends
AIR_HU, SOLID_HU = -1000.0, 60.0
SIZE = (132, 80)  # columns, rows
CT = {"Modality": "CT", "SOPClassUID": CTImageStorage, "RescaleSlope": 1, "RescaleIntercept": -8192}


class Scan(NamedTuple):
    """A series, and where its pixels (column, row, slice) lie: RAS mm (columns, rows, slices, 3)."""

    folder: Path
    places_mm: np.ndarray


def radius(places_mm: np.ndarray) -> np.ndarray:
    """Return how far out in the solid points (..., 3) lie, RAS mm: 1 on its surface."""
    return np.linalg.norm((places_mm - CENTRE_RAS_MM) @ TURNED / HALF_AXES_MM, axis=-1)


def solid(places_mm: np.ndarray) -> np.ndarray:
    """Return the label, 0 or 1, at points."""
    return (radius(places_mm) < 1).astype(np.uint8)


def hounsfield(places_mm: np.ndarray) -> np.ndarray:
    """Return the CT's values at points."""
    depth_mm = (1 - radius(places_mm)) * HALF_AXES_MM.mean()
    return AIR_HU + (SOLID_HU - AIR_HU) / (1 + np.exp(-depth_mm / EDGE_MM * 2))


def places_of(affine: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return the place of every voxel of a grid, RAS mm (*shape, 3)."""
    return np.moveaxis(np.indices(shape), 0, -1) @ affine[:3, :3].T + affine[:3, 3]


def scan_ct(
    folder: Path,
    degrees: float = 0.0,
    gaps_mm: list[float] | None = None,
    *,
    axes: np.ndarray | None = None,
    around: str = "row",
    change: Callable[[np.ndarray], np.ndarray] | None = None,
    **fields: Any,
) -> Scan:
    """Scan the solid, the table moving along the third of `axes` (LPS), the gantry turned around a row or column.

    `gaps_mm` are the table's steps; `change` takes the pixels in HU and returns others.
    """
    gaps_mm = [SPACING_MM[2]] * 29 if gaps_mm is None else gaps_mm
    axes = np.eye(3) if axes is None else axes
    turn = rotation((1.0, 0, 0) if around == "row" else (0, 1.0, 0), np.radians(degrees))
    planes = axes @ turn
    along = np.r_[0, np.cumsum(gaps_mm)]
    pixels = planes[:, :2] * SPACING_MM[:2]
    middle = pixels @ ((np.array(SIZE) - 1) / 2)
    centre = CENTRE_RAS_MM * [-1, -1, 1]
    positions = centre - middle + np.outer(along - along[-1] / 2, axes[:, 2])
    indices = np.moveaxis(np.indices(SIZE), 0, -1)[:, :, None]
    lps = indices @ pixels.T + positions
    places_mm = lps * [-1, -1, 1]
    image = hounsfield(places_mm).round()
    image = image if change is None else change(image)
    stored = (image + 8192).astype(np.uint16)
    return Scan(write_series(folder, stored, planes, positions=positions, **{**CT, **fields}), places_mm)


def dice(a: np.ndarray, b: np.ndarray) -> float:
    return 2 * np.count_nonzero(a & b) / (np.count_nonzero(a) + np.count_nonzero(b))
