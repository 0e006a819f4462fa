"""Exact distances in mm from grid points to the nearest of others: near ones by look-up, far ones by a tree."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

REACH = 8  # voxels along an axis that look-ups go, at most
LOOKUP_NS = 1.5  # per point and offset
TREE_NS, TREE_BUILD_NS = 1500, 100  # per point asked for, per point that the tree holds
ALWAYS = 27  # offsets looked up before it is judged whether that pays
BATCH, FEW = 1 << 15, 2000  # look-ups made by one call, where fewer points than this are left


class Ball(NamedTuple):
    """Offsets in voxels around a point, nearest first: all there are up to the last one's distance."""

    offsets: np.ndarray  # (n, axes)
    distances_mm: np.ndarray
    shell_ends: np.ndarray  # of each offset, where the run of equally far ones that it is in ends


@lru_cache(maxsize=16)
def ball(spacing_mm: tuple[float, ...]) -> Ball:
    """Return the offsets to look up for a spacing."""
    radius_mm = (REACH + 0.5) * min(spacing_mm)
    axes = [np.arange(-n, n + 1) for n in reach(spacing_mm)]
    offsets = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, len(axes))
    distances_mm = length_mm(offsets, spacing_mm)
    inside = np.flatnonzero(distances_mm <= radius_mm)
    order = inside[np.argsort(distances_mm[inside], kind="stable")]
    distances_mm = distances_mm[order]
    shell_ends = np.searchsorted(distances_mm, distances_mm, side="right")
    return Ball(offsets[order], distances_mm, shell_ends)


def reach(spacing_mm: Sequence[float]) -> tuple[int, ...]:
    """Return how many voxels look-ups go along each axis."""
    return tuple(int((REACH + 0.5) * min(spacing_mm) / s) for s in spacing_mm)


def length_mm(offsets: np.ndarray, spacing_mm: Sequence[float]) -> np.ndarray:
    """Return the lengths of offsets (n, axes) given in voxels."""
    squared = (offsets * np.asarray(spacing_mm)) ** 2
    return np.sqrt(np.sort(squared, axis=1).sum(axis=1))  # sorted: rounded alike for any order of axes


def nearest_mm(
    points: np.ndarray,
    targets: np.ndarray,
    spacing_mm: tuple[float, ...],
    shape: tuple[int, ...],
    steps: tuple[int, ...],
    scratch: np.ndarray,
) -> np.ndarray:
    """Return the distance of each point to the nearest target.

    Parameters
    ----------
    points, targets
        Positions in an array of `shape`, whose axes are padded by `reach`; both ascending.
    spacing_mm, shape, steps
        Spacing and length of each axis, and how many positions the next voxel along it is away.
    scratch
        False everywhere, as long as a map of `medseg.metrics.label_pairs`; left as it was found.
    """
    near = ball(spacing_mm)
    flat = near.offsets @ np.array(steps)
    margin = scratch.size - math.prod(shape)
    distances = np.zeros(points.size)
    there = scratch[margin:]
    there[targets] = True
    left = np.flatnonzero(~there[points])  # of the others the distance is 0
    points = points[left]
    start = 1
    while left.size and start < flat.size:
        if left.size < FEW:  # many offsets in one call, and the first that hits
            end = start + BATCH // left.size
            hits = scratch.take(points[:, None] + (flat[start:end] + margin))
            first = hits.argmax(axis=1)
            hit = hits[np.arange(left.size), first]
            distances[left[hit]] = near.distances_mm[start:end][first[hit]]
        else:  # all offsets of one length
            end = int(near.shell_ends[start])
            hit = scratch[margin + flat[start] :].take(points)
            for offset in flat[start + 1 : end]:
                hit |= scratch[margin + offset :].take(points)
            distances[left[hit]] = near.distances_mm[start]
        looked, found = left.size * (end - start), int(np.count_nonzero(hit))
        left, points = left[~hit], points[~hit]
        start = end
        if _tree_is_cheaper(start, looked, found, left.size * (flat.size - start), left.size, targets.size):
            break
    there[targets] = False
    if left.size:
        distances[left] = _by_tree(points, targets, spacing_mm, shape)
    return distances


def _tree_is_cheaper(done: int, looked: int, found: int, to_look: int, points: int, targets: int) -> bool:
    """Say whether a KD-tree is to find the rest: the last look-ups cost more than what they found would have."""
    if done <= ALWAYS or looked * LOOKUP_NS <= found * TREE_NS:
        return False
    return to_look * LOOKUP_NS > points * TREE_NS + targets * TREE_BUILD_NS


def _by_tree(
    points: np.ndarray, targets: np.ndarray, spacing_mm: tuple[float, ...], shape: tuple[int, ...]
) -> np.ndarray:
    from scipy.spatial import cKDTree  # late: most pairs need no tree

    ours, theirs = (np.stack(np.unravel_index(p, shape), axis=1) for p in (points, targets))
    tree = cKDTree(theirs * np.asarray(spacing_mm), balanced_tree=False, compact_nodes=False, leafsize=32)
    nearest = tree.query(ours * np.asarray(spacing_mm))[1]
    return length_mm(ours - theirs[nearest], spacing_mm)  # free of the coordinates' rounding
