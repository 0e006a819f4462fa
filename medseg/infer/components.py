"""Connected components of label maps, found in one pass over all labels: counted, or only the largest kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import cc3d
import numpy as np

STEP_VOXELS = 1 << 20  # looked at in one step, so that what is made of them stays in the cache


@dataclass(frozen=True)
class Components:
    """The 26-connected components of a label map (I, J, K): neighbours of the same label, background left out.

    Attributes
    ----------
    numbers
        (I, J, K), the component that each voxel belongs to; 0 is background.
    labels, sizes
        (components + 1,), the label and the number of voxels of each.
    """

    numbers: np.ndarray
    labels: np.ndarray
    sizes: np.ndarray

    def counts(self) -> dict[int, int]:
        """Return how many components each label has; labels without any are left out."""
        labels, counts = np.unique(self.labels[1:], return_counts=True)
        return dict(zip(labels.tolist(), counts.tolist(), strict=True))


def find_components(label_map: np.ndarray) -> Components:
    """Return the 26-connected components of a label map (I, J, K) of unsigned integers."""
    numbers, n = cc3d.connected_components(label_map, connectivity=26, return_N=True)
    labels, sizes = np.zeros(n + 1, label_map.dtype), np.zeros(n + 1, np.int64)
    order: Literal["C", "F"] = "F" if label_map.flags.f_contiguous else "C"
    for step in _steps(label_map):
        found = numbers[step].ravel(order)
        starts = np.append(0, np.flatnonzero(found[1:] != found[:-1]) + 1)  # of runs of one component
        lengths = np.diff(starts, append=len(found))
        labels[found[starts]] = label_map[step].ravel(order)[starts]
        sizes += np.bincount(found[starts], weights=lengths, minlength=n + 1).astype(np.int64)
    return Components(numbers, labels, sizes)


def keep_largest_component(
    label_map: np.ndarray, labels: Sequence[int], found: Components | None = None
) -> np.ndarray:
    """Return `label_map` (I, J, K) with only the largest 26-connected component of each of `labels`.

    Of equally large ones the one with the first voxel, in the order of (I, J, K), is kept.

    Parameters
    ----------
    found
        The components of this very map, if they are known already.
    """
    found = found or find_components(label_map)
    dropped = np.zeros(len(found.sizes), bool)
    for label in {*labels} - {0}:
        parts = np.flatnonzero(found.labels == label)
        if len(parts) > 1:
            largest = parts[found.sizes[parts] == found.sizes[parts].max()]
            dropped[parts] = True
            dropped[_first(found.numbers, largest) if len(largest) > 1 else largest] = False
    kept = label_map.copy(order="K")
    for step in _steps(kept) if dropped.any() else ():
        kept[step][dropped[found.numbers[step]]] = 0
    return kept


def _first(numbers: np.ndarray, among: np.ndarray) -> int:
    """Return which of these components has the first voxel, in the order of (I, J, K)."""
    wanted = np.zeros(int(numbers.max()) + 1, bool)
    wanted[among] = True
    for plane in numbers:
        there = wanted[plane]
        if there.any():
            return int(plane[there][0])
    raise AssertionError("a component has a voxel")


def _steps(array: np.ndarray) -> Iterator[tuple[slice, ...]]:
    """Cut a volume along its slowest axis."""
    axis = 2 if array.flags.f_contiguous else 0
    planes = max(1, STEP_VOXELS * array.shape[axis] // max(array.size, 1))
    for start in range(0, array.shape[axis], planes):
        yield tuple(slice(start, start + planes) if n == axis else slice(None) for n in range(3))
