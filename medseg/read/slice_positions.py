"""Where the slices of one volume lie: evenly along their normal, brought there where asked, or refused by name."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, degrees, radians
from typing import Any, NamedTuple

import numpy as np

from medseg.errors import InputError
from medseg.read.repair import TILT, UNEVEN, Repair

POSITION_TOLERANCE_MM = 0.1  # how far a slice may lie from the even grid; some exports round to 0.1
POSITION_TOLERANCE_STEPS = 0.1  # the same for thin slices, in parts of their distance
TILT_RAD = 1e-3  # between the slices' normal and the line through their positions
TILT_MAX_RAD = radians(45)  # gantries tilt to 30°; beyond this the positions or the orientation are wrong
SIDEWAYS_MIN_PIXELS = 0.01  # an axis along which slices shift by less, from first to last, is left alone
GAP = 1.5  # a distance this many times those beside it is that of a missing slice
POSITION_MAX_MM = 1e6  # a kilometre: no patient lies there, and a straight grid could grow as large
ROUNDING = 1e-6  # of what is counted in whole voxels


class Grid(NamedTuple):
    """The even grid that slices lie on, or are brought to.

    Attributes
    ----------
    origin, step
        The first voxel's centre and the vector from slice to slice, LPS mm.
    off_mm
        How far, at most, a slice lies from where it is taken to lie.
    repair
        What brings the slices to the grid where they do not lie on it.
    """

    origin: np.ndarray
    step: np.ndarray
    off_mm: float
    repair: Repair | None = None


def grid_of(
    name: str, positions: np.ndarray, pixels: np.ndarray, size: tuple[int, int], repairs: Sequence[str] = ()
) -> Grid:
    """Return the grid that slices lie on.

    Parameters
    ----------
    name
        The series, for messages.
    positions
        (K, 3), of the first pixel of two or more slices, LPS mm, in order along their normal.
    pixels
        (3, 2), the vectors from pixel to pixel along a row and along a column, LPS mm.
    size
        Columns and rows of each slice.
    repairs
        Some of `REPAIRS`: what gets a straight grid to be resampled to instead of being refused.

    Raises
    ------
    InputError
        `GEOMETRY_BAD_AFFINE`, `GEOMETRY_MISSING_SLICE`, `GEOMETRY_UNEVEN_SPACING`, `GEOMETRY_GANTRY_TILT`.
    """
    if np.abs(positions).max() > POSITION_MAX_MM:
        raise InputError(
            "GEOMETRY_BAD_AFFINE",
            f"{name}: a slice lies more than {POSITION_MAX_MM:g} mm from the origin; export it again with a valid "
            "position",
        )
    normal = np.cross(*pixels.T)
    normal /= np.linalg.norm(normal)
    along_mm = (positions - positions[0]) @ normal
    parts, off_mm, uneven = _spread(name, positions, along_mm)
    way = positions[-1] - positions[0]
    sideways = way - normal * along_mm[-1]
    tilt_rad = float(np.arctan2(np.linalg.norm(sideways), along_mm[-1]))
    if tilt_rad <= TILT_RAD:
        tilt_rad, sideways = 0.0, np.zeros(3)
    if not (uneven or tilt_rad):
        return Grid(positions[0], way / (len(positions) - 1), off_mm)
    _check_repairs(name, np.diff(along_mm) if uneven else None, tilt_rad, repairs)
    planes, facts = len(positions), {"tilt_degrees": round(degrees(tilt_rad), 3)} if tilt_rad else {}
    if uneven:
        planes, spacing = _even(along_mm)
        facts |= spacing
    starts = np.c_[_shifts(parts, sideways, pixels), parts * (planes - 1)]
    beyond = [ceil(most - ROUNDING) for most in starts[:, :2].max(axis=0)]
    shape = (size[0] + beyond[0], size[1] + beyond[1], planes)
    origin = positions[0] - pixels @ starts[0, :2]
    return Grid(origin, (way - sideways) / (planes - 1), off_mm, Repair(shape, size, starts, facts))


def _spread(name: str, positions: np.ndarray, along_mm: np.ndarray) -> tuple[np.ndarray, float, bool]:
    """Return each slice's part of the way from first to last, how far one lies off, and if they are uneven."""
    parts = np.arange(len(positions)) / (len(positions) - 1)
    off_mm = _off_mm(positions, parts)
    allowed_mm = min(POSITION_TOLERANCE_MM, POSITION_TOLERANCE_STEPS * along_mm[-1] * parts[1])
    if off_mm <= allowed_mm:
        return parts, off_mm, False
    _check_gaps(name, np.diff(along_mm))
    parts = along_mm / along_mm[-1]
    off_mm = _off_mm(positions, parts)
    if off_mm > allowed_mm:
        raise InputError(
            "GEOMETRY_UNEVEN_SPACING",
            f"{name}: slices lie up to {off_mm:.2f} mm off one line, and {allowed_mm:.2g} mm is allowed; no "
            "repair mends that: export it again",
        )
    return parts, off_mm, True


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
            "GEOMETRY_MISSING_SLICE",
            f"{name}: slices lie {_range(gaps_mm)} mm apart; complete the series, no repair fills a gap",
        )


def _check_repairs(name: str, gaps_mm: np.ndarray | None, tilt_rad: float, repairs: Sequence[str]) -> None:
    """Refuse what was not asked to be repaired, or cannot be."""
    needed = [UNEVEN] * (gaps_mm is not None) + [TILT] * (tilt_rad > 0)
    ask = f"give {' '.join(f'--repair {each}' for each in needed)} to resample it to a straight grid"
    if gaps_mm is not None and UNEVEN not in repairs:
        raise InputError("GEOMETRY_UNEVEN_SPACING", f"{name}: slices lie {_range(gaps_mm)} mm apart; {ask}")
    shift = f"slices shift sideways by {degrees(tilt_rad):.1f}° (tilted gantry)"
    if tilt_rad > TILT_MAX_RAD:
        raise InputError(
            "GEOMETRY_GANTRY_TILT",
            f"{name}: {shift}, and {degrees(TILT_MAX_RAD):.0f}° can be repaired; no gantry tilts so far, so that "
            "positions or orientation are wrong: export it again",
        )
    if tilt_rad and TILT not in repairs:
        raise InputError("GEOMETRY_GANTRY_TILT", f"{name}: {shift}; {ask}")


def _even(along_mm: np.ndarray) -> tuple[int, dict[str, Any]]:
    """Return how many even planes replace uneven slices, and what the record says of it.

    They are as close as the closest slices, so that labels find the way back, but at most twice as many as these.
    """
    gaps_mm = np.diff(along_mm)
    planes = ceil(along_mm[-1] / max(gaps_mm.min(), gaps_mm.mean() / 2) - ROUNDING) + 1
    range_mm = [round(float(mm), 4) for mm in (gaps_mm.min(), gaps_mm.max())]
    return planes, {"gaps_mm": range_mm, "spacing_mm": round(float(along_mm[-1]) / (planes - 1), 4)}


def _shifts(parts: np.ndarray, sideways: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """Return how many pixels (K, 2) each slice is shifted, from 0, along the rows and along the columns."""
    total = pixels.T @ sideways / (pixels**2).sum(axis=0)
    total[np.abs(total) < SIDEWAYS_MIN_PIXELS] = 0
    shifts = np.outer(parts, total)
    return shifts - shifts.min(axis=0)


def _range(gaps_mm: np.ndarray) -> str:
    return f"{gaps_mm.min():.2f} to {gaps_mm.max():.2f}"
