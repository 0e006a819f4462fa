"""The outlines of a mask, one closed polygon for each connected part, holes reached through a keyhole."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

LEVEL = 0.5  # between 0 and 1: outlines cross half way between a voxel inside and one outside
KEYHOLE_OFFSET = 0.25  # voxels beside the hole's corner: clear of voxel centres (at 0) and of corners (at 0.5)


def outlines(mask: np.ndarray) -> list[np.ndarray]:
    """Return the polygons (n, 2) around a mask (I, J), in voxel indices, not closed.

    A voxel centre is inside a polygon exactly where `mask` holds. The polygons neither overlap nor lie in one
    another, so that a reader may fill and join them, or combine them by exclusive or. A hole is joined to its
    polygon by a channel of no width, the keyhole that PS3.3 C.8.8.6.3 asks for in CLOSED_PLANAR contours:
    readers that fill each contour by itself would close a hole that was a contour of its own.
    """
    import contourpy

    if not mask.any():
        return []
    start, window = _box(mask)
    padded = np.pad(mask[window], 1).astype(np.float64)
    generator = contourpy.contour_generator(z=padded.T, fill_type=contourpy.FillType.OuterOffset)
    points, offsets = generator.filled(LEVEL, 2.0)  # type: ignore[misc]  # which fill_type decides
    polygons = []
    for joined, ends in zip(points, offsets, strict=True):
        rings = [_corners(joined[a : b - 1]) for a, b in pairwise(ends)]
        polygons.append(_with_keyholes(rings[0], rings[1:]) + (start - 1))
    return polygons


def _box(mask: np.ndarray) -> tuple[np.ndarray, tuple[slice, ...]]:
    found = np.argwhere(mask)
    start, stop = found.min(axis=0), found.max(axis=0) + 1
    return start, tuple(slice(a, b) for a, b in zip(start, stop, strict=True))


def _corners(ring: np.ndarray) -> np.ndarray:
    """Leave out the points of a ring that lie on a straight line with both neighbours."""
    back, ahead = ring - np.roll(ring, 1, axis=0), np.roll(ring, -1, axis=0) - ring
    return ring[back[:, 0] * ahead[:, 1] != back[:, 1] * ahead[:, 0]]


def _with_keyholes(outer: np.ndarray, holes: list[np.ndarray]) -> np.ndarray:
    """Join holes to their outer ring, each by a channel to the left of its leftmost corner.

    From left to right, so that what a channel meets first is joined already.
    """
    for hole in sorted(holes, key=lambda ring: ring[:, 0].min()):
        y = hole[hole[:, 0].argmin(), 1] + KEYHOLE_OFFSET
        edge, x = _crossings(hole, y)
        inner = x.argmin()
        edges, xs = _crossings(outer, y)
        left = np.where(xs < x[inner], xs, -np.inf)
        near = left.argmax()
        here, there = np.array([[xs[near], y]]), np.array([[x[inner], y]])
        around = np.roll(hole, -(edge[inner] + 1), axis=0)
        cut = edges[near] + 1
        outer = np.concatenate([outer[:cut], here, there, around, there, here, outer[cut:]])
    return outer


def _crossings(ring: np.ndarray, y: float) -> tuple[np.ndarray, np.ndarray]:
    """Return which edges of a ring cross the line at `y`, by their first point, and where."""
    first, second = ring, np.roll(ring, -1, axis=0)
    edges = np.flatnonzero((first[:, 1] < y) != (second[:, 1] < y))
    (x0, y0), (x1, y1) = first[edges].T, second[edges].T
    return edges, x0 + (y - y0) / (y1 - y0) * (x1 - x0)
