"""The slices of one series to the regular grids they form, or a refusal by name.

The grid comes from ImagePositionPatient, ImageOrientationPatient and PixelSpacing (DICOM PS3.3 C.7.6.2),
never from slice numbers, file names or thickness.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from math import radians

import numpy as np

from medseg.errors import InputError
from medseg.geometry import lps_to_ras
from medseg.read.dicom_slice import Slice
from medseg.read.dicom_values import IDENTITY, PHASES, STRICT
from medseg.read.repair import Repair
from medseg.read.slice_positions import POSITION_TOLERANCE_MM, Grid, grid_of

ROUNDING_MM = 0.01  # what rounding in most headers explains; more is said by name
SAME_PLACE_MM = 0.01  # two slices nearer than this lie at one position
SCOUT_RAD = radians(30)  # a lone slice turned further than this from the others is a scout
PLANES_MAX = 64  # more different planes in one series are no volumes


@dataclass(frozen=True)
class Stack:
    """Slices in order, the RAS+ affine of their voxels (column, row, slice), what was tolerated, and their repair.

    Where there is a repair, the affine is that of its straight grid.
    """

    slices: tuple[Slice, ...]
    affine: np.ndarray
    codes: tuple[str, ...]
    repair: Repair | None = None


def stacks(
    name: str,
    slices: Sequence[Slice],
    identical: Callable[[Slice, Slice], bool],
    repairs: Sequence[str] = (),
) -> list[Stack]:
    """Return the volumes that the slices of one series form.

    Parameters
    ----------
    name
        The series, for messages.
    slices
        In any order, scouts included.
    identical
        Says whether two slices have the same pixels; asked only of slices at one position.
    repairs
        Some of `REPAIRS`: what is brought to a straight grid instead of being refused.

    Raises
    ------
    InputError
        `DICOM_SCOUT` where nothing but scouts is there, or a `GEOMETRY_*` code.
    """
    kept = [s for s in slices if not s.scout]
    if not kept:
        raise InputError("DICOM_SCOUT", f"{name} holds scout images alone; give the series planned on them")
    planes = _by_plane(name, kept)
    main = max(planes, key=len)
    whole = [plane for plane in planes if len(plane) > 1 or plane is main]
    for plane in planes:
        if len(plane) == 1 and plane is not main:
            _check_is_scout(name, plane[0], main)
    if len(main) == 1 and len(planes) > 1:
        raise InputError("GEOMETRY_MIXED_ORIENTATION", f"{name}: its slices are not parallel; split it")
    found = [stack for plane in whole for stack in _volumes(name, plane, identical, repairs)]
    codes = ("DICOM_SPLIT",) * (len(found) > 1)
    codes += ("DICOM_SCOUT",) * (len(kept) < len(slices) or len(whole) < len(planes))
    return [replace(s, codes=tuple(dict.fromkeys((*s.codes, *codes)))) for s in found]


def _by_plane(name: str, slices: Sequence[Slice]) -> list[list[Slice]]:
    """Group slices of the same size, spacing and orientation."""
    planes: list[list[Slice]] = []
    for s in slices:
        for plane in planes:
            if s.size == plane[0].size and _apart_mm(s, plane[0]) <= POSITION_TOLERANCE_MM:
                plane.append(s)
                break
        else:
            planes.append([s])
        if len(planes) > PLANES_MAX:
            raise InputError("GEOMETRY_MIXED_ORIENTATION", f"{name}: its slices have many orientations; split it")
    return planes


def _apart_mm(a: Slice, b: Slice) -> float:
    """Return how far apart the corners of two slices of one size lie, at most, if their first pixels coincide."""
    if a.cosines == b.cosines and a.spacing_mm == b.spacing_mm:
        return 0.0
    row, column = _edges_mm(a) - _edges_mm(b)
    return float(max(np.linalg.norm(edge) for edge in (row, column, row + column)))


def _edges_mm(s: Slice) -> np.ndarray:
    """Return the vectors (2, 3) from the first pixel to the last of its row and of its column, LPS."""
    rows, columns = s.size
    between_rows, between_columns = s.spacing_mm
    return np.array(
        [
            np.multiply(s.cosines[:3], between_columns * (columns - 1)),
            np.multiply(s.cosines[3:], between_rows * (rows - 1)),
        ]
    )


def _check_is_scout(name: str, lone: Slice, main: Sequence[Slice]) -> None:
    """Pass a slice that was planned on and forgotten among the others; refuse one that may belong to them."""
    if abs(_normal(lone) @ _normal(main[0])) < np.cos(SCOUT_RAD):
        return
    if (lone.size, lone.spacing_mm) == (main[0].size, main[0].spacing_mm):
        raise InputError("GEOMETRY_MIXED_ORIENTATION", f"{name}: a slice is turned against the others; split it")
    found = f"{main[0].size} pixels of {main[0].spacing_mm} mm and {lone.size} of {lone.spacing_mm} mm"
    raise InputError("GEOMETRY_MIXED_SIZES", f"{name}: slices differ: {found}; split the series")


def _volumes(
    name: str, slices: list[Slice], identical: Callable[[Slice, Slice], bool], repairs: Sequence[str]
) -> list[Stack]:
    """Return the volumes of slices in parallel planes, told apart by their headers where they must be.

    Copies are dropped first: a trait would put each copy with the slices it was acquired with, and cut the volume.
    """
    places = _places(slices)
    single = [_without_copies(place, identical, same_traits=True) for place in places]
    if sum(map(len, single)) < len(slices):
        return _copies_dropped(_volumes(name, [s for place in single for s in place], identical, repairs))
    for trait in (*STRICT, *IDENTITY):
        parts = _parts(slices, lambda s, key=trait: s.traits.get(key))  # type: ignore[misc]
        told = trait in STRICT and all(part[0].traits.get(trait) is not None for part in parts)
        apart = told or len(slices) == 2  # two slices are even however they came together
        if len(parts) > 1 and (apart or all(map(_is_grid, parts))):
            return [stack for part in parts for stack in _volumes(name, part, identical, repairs)]
    if len(places) == len(slices):
        return [_stack(name, [place[0] for place in places], repairs)]
    for trait in ("file", *PHASES, *sorted(key for key in slices[0].traits if key.startswith("dimension"))):
        parts = _parts(slices, lambda s, key=trait: s.traits.get(key))  # type: ignore[misc]
        if len(parts) > 1 and _are_volumes(parts):
            return [stack for part in parts for stack in _volumes(name, part, identical, repairs)]
    alone = [_without_copies(place, identical) for place in places]
    if sum(map(len, alone)) < len(slices):
        return _copies_dropped(_volumes(name, [s for place in alone for s in place], identical, repairs))
    for trait in ("TriggerTime", "AcquisitionDateTime", "AcquisitionTime"):
        ranked = _ranked(alone, trait)
        if ranked:
            return [_stack(name, phase, repairs) for phase in ranked]
    raise InputError(
        "GEOMETRY_DUPLICATE_SLICE",
        f"{name}: {len(slices)} slices lie at {len(places)} positions, and their headers do not say which belong "
        "together; remove the slices that do not belong",
    )


def _copies_dropped(stacks: Sequence[Stack]) -> list[Stack]:
    return [replace(s, codes=(*s.codes, "DICOM_DUPLICATE_DROPPED")) for s in stacks]


def _are_volumes(parts: Sequence[Sequence[Slice]]) -> bool:
    """Say whether each part lies on an even grid and all at the same positions; else they are pieces of one."""
    if not all(map(_is_grid, parts)):
        return False
    normal = _normal(parts[0][0])
    along = [np.array([place[0].position for place in _places(part)]) @ normal for part in parts]
    return all(len(a) == len(along[0]) and np.abs(a - along[0]).max() <= SAME_PLACE_MM for a in along[1:])


def _parts(slices: Sequence[Slice], key: Callable[[Slice], Hashable]) -> list[list[Slice]]:
    parts: dict[Hashable, list[Slice]] = {}
    for s in slices:
        parts.setdefault(key(s), []).append(s)
    return list(parts.values())


def _is_grid(slices: Sequence[Slice]) -> bool:
    """Say whether these positions, each counted once, are two or more on an even grid, tilted or not."""
    places = _places(slices)
    if len(places) < 2:
        return False
    try:
        _stack("", [place[0] for place in places])
    except InputError as error:
        return error.code == "GEOMETRY_GANTRY_TILT"
    return True


def _places(slices: Sequence[Slice]) -> list[list[Slice]]:
    """Group slices that lie at one position, in order along their normal."""
    normal = _normal(slices[0])
    along = np.array([s.position for s in slices]) @ normal
    places: list[list[Slice]] = []
    before = -np.inf
    for i in np.argsort(along, kind="stable"):
        if along[i] - before > SAME_PLACE_MM:
            places.append([])
            before = along[i]
        places[-1].append(slices[i])
    return places


def _without_copies(
    place: Sequence[Slice], identical: Callable[[Slice, Slice], bool], *, same_traits: bool = False
) -> list[Slice]:
    """Leave out slices that have the pixels of one before; with `same_traits` only where all traits agree too."""
    kept: list[Slice] = []
    for s in place:
        near = (k for k in kept if np.linalg.norm(np.subtract(k.position, s.position)) <= SAME_PLACE_MM)
        alike = (k for k in near if k.scaling == s.scaling and (not same_traits or k.traits == s.traits))
        if not any(identical(k, s) for k in alike):
            kept.append(s)
    return kept


def _ranked(places: Sequence[Sequence[Slice]], trait: str) -> list[list[Slice]]:
    """Return the n-th slice in time of every position, for each n; nothing where time does not order them.

    In a cine each slice has trigger times of its own, so that equal times do not make the phases.
    """
    phases = len(places[0])
    if any(len(place) != phases for place in places):
        return []
    ordered = []
    for place in places:
        times = {s.traits.get(trait) for s in place}
        if None in times or len(times) < phases:
            return []
        try:
            ordered.append(sorted(place, key=lambda s: float(s.traits[trait])))
        except ValueError:
            return []
    return [[place[n] for place in ordered] for n in range(phases)]


def _normal(s: Slice) -> np.ndarray:
    return np.cross(s.cosines[:3], s.cosines[3:])


def _stack(name: str, slices: Sequence[Slice], repairs: Sequence[str] = ()) -> Stack:
    """Return slices at different positions, ordered along their normal, with their affine."""
    first = slices[0]
    positions = np.array([s.position for s in slices])
    codes = [code for s in slices for code in s.codes]
    between_rows, between_columns = first.spacing_mm
    lps = np.eye(4)
    lps[:3, 0] = np.multiply(first.cosines[:3], between_columns)
    lps[:3, 1] = np.multiply(first.cosines[3:], between_rows)
    if len(slices) == 1:
        grid = Grid(positions[0], _normal(first) * (first.thickness_mm or 1.0), 0.0)
        codes.append("GEOMETRY_SINGLE_SLICE")
    else:
        grid = grid_of(name, positions, lps[:3, :2], first.size[::-1], repairs)
    off_mm = grid.off_mm + max(_apart_mm(s, first) for s in slices)
    codes += ["GEOMETRY_ROUNDED_POSITIONS"] * (off_mm > ROUNDING_MM)
    codes += grid.repair.codes if grid.repair else ()
    lps[:3, 2], lps[:3, 3] = grid.step, grid.origin
    return Stack(tuple(slices), lps_to_ras(lps), tuple(dict.fromkeys(codes)), grid.repair)
