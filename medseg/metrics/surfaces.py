"""Surfaces of every label, found in one pass over a map, and the distances between those of two maps.

A surface is either the boundary voxels of a mask (a face neighbour is outside, and what lies beyond the array is),
or its surface elements: the corners between voxels whose 2×2×2 neighbourhood the mask neither fills nor
leaves empty, each with the area of the piece of surface that passes there (`medseg.metrics.surface_areas`).
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from medseg.metrics.label_pairs import CHUNK, Pair
from medseg.metrics.nearest import nearest_mm
from medseg.metrics.surface_areas import surface_areas

THREADS = min(8, os.cpu_count() or 1)
WORTH_THREADS = 1 << 20  # voxels of a pair; starting threads takes longer than comparing a small one


class Directed(NamedTuple):
    """Distances in mm from one surface to another, ascending, and the area of each piece (None: all the same)."""

    mm: np.ndarray
    areas: np.ndarray | None = None


class Surface(NamedTuple):
    """Where a label's surface is in the flat array, and each piece's area (None: all the same)."""

    positions: np.ndarray
    areas: np.ndarray | None


def distances_by_code(
    pair: Pair, codes: Sequence[int], spacing_mm: Sequence[float], *, by_area: bool
) -> dict[int, tuple[Directed, Directed]]:
    """Return each code's distances from the prediction's surface to the reference's, and back.

    Parameters
    ----------
    pair
        The maps, padded by at least 2 voxels and one more than `medseg.metrics.nearest.reach`: elements lie
        one beyond.
    codes
        Values of the maps, each in both.
    spacing_mm
        In the order of the axes as they were given.
    by_area
        Take surface elements with their areas, not boundary voxels.
    """
    ordered_mm = tuple(spacing_mm[axis] for axis in pair.axes)

    def surfaces(labels: np.ndarray) -> dict[int, Surface]:
        return surface_elements(labels, pair, spacing_mm) if by_area else boundary_voxels(labels, pair)

    def measure(share: Sequence[int]) -> dict[int, tuple[Directed, Directed]]:
        scratch = np.zeros(pair.reference.size, bool)

        def directed(one: Surface, other: Surface) -> Directed:
            distances = nearest_mm(one.positions, other.positions, ordered_mm, pair.shape, pair.steps, scratch)
            if one.areas is None:
                return Directed(np.sort(distances))
            order = np.lexsort((one.areas, distances))
            return Directed(distances[order], one.areas[order])

        return {code: (directed(a[code], b[code]), directed(b[code], a[code])) for code in share}

    if pair.reference.size < WORTH_THREADS or THREADS == 1:
        a, b = surfaces(pair.prediction), surfaces(pair.reference)
        return measure(codes)
    with ThreadPoolExecutor(THREADS) as pool:
        a, b = pool.map(surfaces, (pair.prediction, pair.reference))
        largest_first = sorted(codes, key=lambda code: -a[code].positions.size)
        shares = [largest_first[first::THREADS] for first in range(THREADS)]
        return {code: found for part in pool.map(measure, shares) for code, found in part.items()}


def boundary_voxels(labels: np.ndarray, pair: Pair) -> dict[int, Surface]:
    """Return the boundary voxels of each value of one of the pair's maps."""
    found = []
    for start, stop, different in _chunks(pair):
        here = labels[start:stop]
        edge = np.zeros(stop - start, bool)
        for step in pair.steps:
            edge |= np.not_equal(here, labels[start + step : stop + step], out=different)
            edge |= np.not_equal(here, labels[start - step : stop - step], out=different)
        edge &= here != 0
        found.append(np.flatnonzero(edge) + (start - pair.margin))
    positions = np.concatenate(found)
    return _by_value(positions, labels[pair.margin :][positions])


def surface_elements(labels: np.ndarray, pair: Pair, spacing_mm: Sequence[float]) -> dict[int, Surface]:
    """Return the surface elements of each value of one of the pair's maps.

    An element belongs to every value in its neighbourhood; its position is that of the neighbourhood's last voxel.
    """
    steps = [pair.steps[pair.axes.index(axis)] for axis in range(len(spacing_mm))]
    back = [int(np.dot(corner, steps)) for corner in itertools.product((1, 0), repeat=len(steps))]
    found = []
    for start, stop, different in _chunks(pair):
        here = labels[start:stop]
        mixed = np.zeros(stop - start, bool)
        for step in back[:-1]:
            mixed |= np.not_equal(here, labels[start - step : stop - step], out=different)
        found.append(np.flatnonzero(mixed) + (start - pair.margin))
    positions = np.concatenate(found)
    around = [labels[pair.margin - step :][positions] for step in back]
    area_of = surface_areas(tuple(spacing_mm))
    places, values, areas = [], [], []
    for first, value in enumerate(around):
        new = value != 0  # each value once: where it is met first
        for earlier in around[:first]:
            new &= value != earlier
        at = np.flatnonzero(new)
        code = np.zeros(at.size, np.uint8)
        for bit, other in enumerate(around):
            code |= (other[at] == value[at]).view(np.uint8) << np.uint8(bit)
        places.append(positions[at])
        values.append(value[at])
        areas.append(area_of[code])
    return _by_value(np.concatenate(places), np.concatenate(values), np.concatenate(areas))


def _chunks(pair: Pair) -> Iterator[tuple[int, int, np.ndarray]]:
    """Yield stretches that hold every voxel and one beyond along each axis, and a buffer of their length."""
    buffer = np.empty(CHUNK, bool)
    end = pair.reference.size - pair.steps[0]
    for start in range(pair.margin, end, CHUNK):
        stop = min(start + CHUNK, end)
        yield start, stop, buffer[: stop - start]


def _by_value(positions: np.ndarray, values: np.ndarray, areas: np.ndarray | None = None) -> dict[int, Surface]:
    order = np.argsort(values, kind="stable")  # of bytes: by counting, and positions stay ascending
    positions, values = positions[order], values[order]
    areas = None if areas is None else areas[order]
    ends = np.append(np.flatnonzero(values[1:] != values[:-1]) + 1, values.size)
    starts = [0, *ends[:-1]]
    return {
        int(values[start]): Surface(positions[start:end], None if areas is None else areas[start:end])
        for start, end in zip(starts, ends, strict=True)
        if end > start
    }
