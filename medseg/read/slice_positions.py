"""Where the slices of one volume lie: evenly along their normal, or refused by name."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from medseg.errors import InputError

POSITION_TOLERANCE_MM = 0.1  # how far a slice may lie from the even grid; some exports round to 0.1
POSITION_TOLERANCE_STEPS = 0.1  # the same for thin slices, in parts of their distance
TILT_RAD = 1e-3  # between the slices' normal and the line through their positions
GAP = 1.5  # a distance this many times those beside it is that of a missing slice


class Grid(NamedTuple):
    """The even grid that slices lie on.

    Attributes
    ----------
    origin, step
        The first slice's position and the vector from slice to slice, LPS mm.
    off_mm
        How far, at most, a slice lies from where these put it.
    """

    origin: np.ndarray
    step: np.ndarray
    off_mm: float


def grid_of(name: str, positions: np.ndarray, pixels: np.ndarray) -> Grid:
    """Return the grid that slices lie on.

    Parameters
    ----------
    name
        The series, for messages.
    positions
        (K, 3), of the first pixel of two or more slices, LPS mm, in order along their normal.
    pixels
        (3, 2), the vectors from pixel to pixel along a row and along a column, LPS mm.

    Raises
    ------
    InputError
        `GEOMETRY_MISSING_SLICE`, `GEOMETRY_UNEVEN_SPACING`, `GEOMETRY_GANTRY_TILT`.
    """
    count, way = len(positions), positions[-1] - positions[0]
    normal = np.cross(*pixels.T)
    normal /= np.linalg.norm(normal)
    along_mm = (positions - positions[0]) @ normal
    step, step_mm = way / (count - 1), along_mm[-1] / (count - 1)
    off_mm = _off_mm(positions, np.arange(count) / (count - 1))
    if off_mm > min(POSITION_TOLERANCE_MM, POSITION_TOLERANCE_STEPS * step_mm):
        gaps_mm = np.diff(along_mm)
        _check_gaps(name, gaps_mm)
        raise InputError(
            "GEOMETRY_UNEVEN_SPACING",
            f"{name}: slices lie {_range(gaps_mm)} mm apart, or not on one line; resample it evenly",
        )
    tilt_rad = np.arctan2(np.linalg.norm(way - normal * along_mm[-1]), along_mm[-1])
    if tilt_rad > TILT_RAD:
        raise InputError(
            "GEOMETRY_GANTRY_TILT",
            f"{name}: slices shift sideways by {np.degrees(tilt_rad):.1f}° (tilted gantry); resample the series "
            "to an orthogonal grid first",
        )
    return Grid(positions[0], step, off_mm)


def _off_mm(positions: np.ndarray, parts: np.ndarray) -> float:
    """Return how far positions lie, at most, from `parts` of the way from the first to the last."""
    line = positions[0] + np.outer(parts, positions[-1] - positions[0])
    return float(np.linalg.norm(positions - line, axis=1).max())


def _check_gaps(name: str, gaps_mm: np.ndarray) -> None:
    """Refuse distances that tell of a missing slice: whole multiples of the smallest, or one wide alone."""
    multiples = gaps_mm / gaps_mm.min()
    whole = multiples.max() > GAP and np.abs(multiples - multiples.round()).max() < 0.1
    beside = np.maximum(np.r_[0, gaps_mm[:-1]], np.r_[gaps_mm[1:], 0])
    if whole or (gaps_mm > GAP * beside).any():
        raise InputError(
            "GEOMETRY_MISSING_SLICE", f"{name}: slices lie {_range(gaps_mm)} mm apart; complete the series"
        )


def _range(gaps_mm: np.ndarray) -> str:
    return f"{gaps_mm.min():.2f} to {gaps_mm.max():.2f}"
