"""Connected components of label maps, found in one pass over all labels: counted, or only the largest kept.

A map is cut into steps whose numbers fit the cache. Each is looked at together with the first plane of the next,
so that a voxel there tells which parts of the two are one. Memory that is touched for the first time costs more
than all else here: a step of few parts keeps one byte a voxel, where numbers over the whole map would take four.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import cc3d
import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from medseg.cases import region_mask

Order = Literal["C", "F"]
STEP_VOXELS = 1 << 22  # looked at in one step


@dataclass(frozen=True)
class Components:
    """The 26-connected components of a label map (I, J, K): neighbours of the same label, background left out.

    Attributes
    ----------
    labels, sizes
        The label and the number of voxels of each. One of them is background, whose size is not counted.
    steps
        Of each step of the map, the part that each voxel is in, in the order of memory, and the component that
        each part is in.
    """

    labels: np.ndarray
    sizes: np.ndarray
    steps: Sequence[tuple[np.ndarray, np.ndarray]]

    def counts(self) -> dict[int, int]:
        """Return how many components each label has; labels without any are left out."""
        labels, counts = np.unique(self.labels[self.labels > 0], return_counts=True)
        return dict(zip(labels.tolist(), counts.tolist(), strict=True))


def find_components(label_map: np.ndarray) -> Components:
    """Return the 26-connected components of a label map (I, J, K) of unsigned integers."""
    order, n = _order(label_map), 1  # parts so far; the first is background
    labels, sizes = [np.zeros(1, label_map.dtype)], [np.zeros(1, np.int64)]
    shared = np.zeros(1, np.int64)  # the parts of the voxels that the step before saw too
    same, parts, numbers = [(shared, shared)], [], []
    shared = shared[:0]
    for seen, own in _steps(label_map):
        found, of_part, voxels = _parts(seen, own, order)
        number = np.append(0, np.arange(n, n + len(voxels) - 1))
        n += len(voxels) - 1
        again = number[found[: len(shared)]]
        starts = _starts(shared * n + again)
        same.append((shared[starts], again[starts]))
        shared = number[found[own:]]
        labels.append(of_part[1:])
        sizes.append(voxels[1:])
        parts.append(found[:own].astype(np.min_scalar_type(len(voxels) - 1)))
        numbers.append(number)
    joints = np.concatenate([pair[0] for pair in same]), np.concatenate([pair[1] for pair in same])
    n, whole = connected_components(
        coo_matrix((np.ones(len(joints[0]), bool), joints), shape=(n, n)), directed=False
    )
    label = np.zeros(n, label_map.dtype)
    np.maximum.at(label, whole, np.concatenate(labels))
    size = np.bincount(whole, weights=np.concatenate(sizes), minlength=n).astype(np.int64)
    return Components(label, size, [(part, whole[number]) for part, number in zip(parts, numbers, strict=True)])


def keep_largest_component(
    label_map: np.ndarray, labels: Sequence[int | Sequence[int]], found: Components | None = None
) -> np.ndarray:
    """Return `label_map` (I, J, K) with only the largest 26-connected component of each of `labels`.

    Of equally large ones the one with the first voxel, in the order of (I, J, K), is kept.

    Parameters
    ----------
    labels
        Ids, or lists of ids that are taken as one structure; those come first.
    found
        The components of this very map, if they are known already.
    """
    alone = {entry for entry in labels if isinstance(entry, (int, np.integer))}
    for group in (entry for entry in labels if not isinstance(entry, (int, np.integer))):
        together = np.isin(label_map, list(group)).astype(np.uint8)
        small = (together == 1) & (keep_largest_component(together, [1]) == 0)
        if small.any():
            label_map, found = np.where(small, label_map.dtype.type(0), label_map), None
    found = found or find_components(label_map)
    dropped = np.zeros(len(found.sizes), bool)
    for label in alone - {0}:
        whole = np.flatnonzero(found.labels == label)
        if len(whole) > 1:
            largest = whole[found.sizes[whole] == found.sizes[whole].max()]
            dropped[whole] = True
            dropped[_first(found, largest, label_map) if len(largest) > 1 else largest] = False
    order = _order(label_map)
    kept = np.array(label_map, order=order)
    flat = kept.reshape(-1, order=order)
    for voxels, _ in _voxels_of(found, dropped):
        flat[voxels] = 0
    return kept


def count_components(label_map: np.ndarray, ids: Sequence[int]) -> int:
    """Return how many 26-connected components the voxels of these ids have together."""
    return int(cc3d.connected_components(region_mask(label_map, ids), connectivity=26, return_N=True)[1])


def _first(found: Components, among: np.ndarray, label_map: np.ndarray) -> int:
    """Return which of these components has the first voxel, in the order of (I, J, K)."""
    wanted = np.zeros(len(found.sizes), bool)
    wanted[among] = True
    firsts = []
    for voxels, components in _voxels_of(found, wanted):
        places = np.ravel_multi_index(
            np.unravel_index(voxels, label_map.shape, _order(label_map)), label_map.shape
        )
        firsts.append((int(places.min()), int(components[places.argmin()])))
    return min(firsts)[1]


def _voxels_of(found: Components, wanted: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Give, step by step, where in memory the voxels of the wanted components are, and of which each is."""
    first = 0
    for parts, whole in found.steps:
        if wanted[whole].any():
            starts = _starts(parts)
            lengths = np.diff(starts, append=len(parts))
            of_run = whole[parts[starts]]
            runs = np.flatnonzero(wanted[of_run])
            before = np.cumsum(lengths[runs]) - lengths[runs]  # wanted voxels before each run
            voxels = np.arange(lengths[runs].sum()) + np.repeat(first + starts[runs] - before, lengths[runs])
            if len(voxels):
                yield voxels, np.repeat(of_run[runs], lengths[runs])
        first += len(parts)


def _parts(seen: np.ndarray, own: int, order: Order) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return what a step finds: each voxel's part, in the order of memory, and each part's label and size.

    Of the voxels that are `seen`, those after the first `own` are the next step's: they are not counted, and a
    part that has no others is given no label.
    """
    numbers, n = cc3d.connected_components(seen, connectivity=26, return_N=True)
    found = numbers.ravel(order)
    starts = _starts(found[:own])  # of runs of one part
    of_run, lengths = found[starts], np.diff(starts, append=own)
    labels = np.zeros(n + 1, seen.dtype)
    labels[of_run] = seen.ravel(order)[starts]
    return found, labels, np.bincount(of_run, weights=lengths, minlength=n + 1).astype(np.int64)


def _starts(values: np.ndarray) -> np.ndarray:
    """Return where runs of equal values start."""
    return np.append(np.zeros(min(len(values), 1), np.int64), np.flatnonzero(values[1:] != values[:-1]) + 1)


def _order(array: np.ndarray) -> Order:
    return "F" if array.flags.f_contiguous else "C"


def _steps(array: np.ndarray) -> Iterator[tuple[np.ndarray, int]]:
    """Cut a volume along its slowest axis; give each step with the next one's first plane, and its own voxels."""
    slow = array if _order(array) == "C" else array.T
    plane = slow[:1].size
    planes = max(1, STEP_VOXELS // max(plane, 1))
    for start in range(0, len(slow), planes):
        seen = slow[start : start + planes + 1]
        yield (seen if slow is array else seen.T), min(planes, len(slow) - start) * plane
