"""How much surface passes between eight voxels: areas of marching cubes for every neighbourhood, in mm².

The surface crosses the edges between inside and outside at their middles. Where a face of the cell has inside
corners at opposite ends alone, each is cut off for itself; with more than four corners inside, inside and outside
change parts. Polygons are cut into triangles from the corner that gives the largest area on cubic voxels.
These rules give the areas of the table in DeepMind's ``surface-distance``, which was made by marching cubes.

Source: Lorensen and Cline 1987, doi:10.1145/37401.37422; for the weights, Nikolov et al. 2021, doi:10.2196/26151.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

Point = tuple[int, ...]  # in half voxels, so that the middles of edges are whole


@lru_cache(maxsize=16)
def surface_areas(spacing_mm: tuple[float, ...]) -> np.ndarray:
    """Return the area (2D: length, 1D: 1) of the surface in each neighbourhood of 2 voxels along each axis.

    The neighbourhood's number has bit i set if voxel i of ``itertools.product((0, 1), repeat=axes)`` is inside.
    """
    axes = len(spacing_mm)
    if axes == 1:
        return np.array([0.0, 1.0, 1.0, 0.0])
    if axes == 2:
        pieces = np.array([_contour(code) for code in range(16)]) / 2 * spacing_mm
    else:
        others_mm2 = [spacing_mm[1] * spacing_mm[2], spacing_mm[0] * spacing_mm[2], spacing_mm[0] * spacing_mm[1]]
        pieces = _all_normals() / 8 * others_mm2
    return np.sqrt((pieces**2).sum(axis=-1)).sum(axis=-1)


def _contour(code: int) -> np.ndarray:
    """Return the contour's pieces as vectors (2, 2) in half pixels, zero where there are fewer."""
    ring = [(0, 0), (2, 0), (2, 2), (0, 2)]
    vectors = [np.subtract(b, a) for a, b in _segments(ring, _inside(code, 2))]
    return np.array([*vectors, (0, 0), (0, 0)][:2])


@lru_cache(maxsize=1)
def _all_normals() -> np.ndarray:
    """Return the normals (256, 4, 3) of each cell's triangles, eight times their area long on cubic voxels."""
    normals = np.zeros((256, 4, 3))
    for code in range(1, 255):
        if code.bit_count() <= 4:
            triangles = [normal for polygon in _polygons(_inside(code, 3)) for normal in _largest_fan(polygon)]
            normals[code, : len(triangles)] = triangles
            if code.bit_count() < 4:
                normals[255 - code] = normals[code]
    return normals


def _inside(code: int, axes: int) -> set[Point]:
    return {corner for i, corner in enumerate(itertools.product((0, 2), repeat=axes)) if code >> i & 1}


def _segments(ring: Sequence[Point], inside: set[Point]) -> list[tuple[Point, Point]]:
    """Return the line around each run of inside corners of a face, from its first cut edge to its last."""
    found = []
    for first in range(4):
        last = first
        while ring[last % 4] in inside and last < first + 4:
            last += 1
        if ring[first - 1] not in inside and last > first:
            found.append((_middle(ring[first - 1], ring[first]), _middle(ring[(last - 1) % 4], ring[last % 4])))
    return found


def _middle(one: Point, other: Point) -> Point:
    return tuple((a + b) // 2 for a, b in zip(one, other, strict=True))


def _polygons(inside: set[Point]) -> list[list[Point]]:
    """Return the polygons that separate the inside corners of a cell from the others."""
    following: dict[Point, Point] = {}
    for axis, side in itertools.product(range(3), (0, 2)):
        ring = [tuple(np.roll((side, u, v), axis).tolist()) for u, v in ((0, 0), (2, 0), (2, 2), (0, 2))]
        following |= _segments(ring if side else ring[::-1], inside)  # so that faces join head to tail
    polygons = []
    while following:
        point, after = following.popitem()
        polygon = [point]
        while after != point:
            polygon.append(after)
            after = following.pop(after)
        polygons.append(polygon)
    return polygons


def _largest_fan(polygon: list[Point]) -> np.ndarray:
    """Return the normals of the triangles that a polygon is cut into."""
    fans = []
    for first in range(len(polygon)):
        sides = np.subtract(polygon[first + 1 :] + polygon[:first], polygon[first])
        fans.append(np.cross(sides[:-1], sides[1:]))
    return max(fans, key=lambda normals: round(float(np.linalg.norm(normals, axis=1).sum()), 6))
