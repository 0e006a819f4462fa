"""Tilted or unevenly spaced slices resampled to a straight grid, where the caller asks, and the way back to them.

Each slice is shifted within its own plane, and values between slices are taken along their normal: one
dimension at a time, by cubic Catmull–Rom splines (Catmull and Rom 1974; on even nodes the cubic convolution of
Keys 1981, doi:10.1109/TASSP.1981.1163711).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from medseg.errors import InputError

TILT, UNEVEN = REPAIRS = ("tilt", "uneven")
LOWEST_HU = -1024  # air; below it CT holds what pads the scanner's circle, which would ring into the body
OUTSIDE = 1e-6  # pixels beyond a slice's edge that rounding explains


@dataclass(frozen=True)
class Repair:
    """A straight grid, and where the slices that were read lie in it.

    The grid has the slices' own axes and pixel spacing, and is large enough to hold every pixel of each.

    Attributes
    ----------
    shape
        Voxels of the straight grid along I, J, K.
    size
        Columns and rows of each slice that was read.
    starts
        (slices, 3): where the first pixel of each slice lies, as an index on the straight grid.
    facts
        For the record: ``tilt_degrees`` of a tilt; of uneven spacing ``gaps_mm``, the smallest and the largest
        distance of neighbouring slices, and ``spacing_mm``, that of the straight grid.
    """

    shape: tuple[int, int, int]
    size: tuple[int, int]
    starts: np.ndarray
    facts: Mapping[str, Any]

    @property
    def codes(self) -> tuple[str, ...]:
        """What was repaired, by name."""
        names = {"tilt_degrees": "GEOMETRY_REPAIRED_TILT", "gaps_mm": "GEOMETRY_REPAIRED_SPACING"}
        return tuple(code for fact, code in names.items() if fact in self.facts)

    def bytes_needed(self, dtype: np.dtype) -> int:
        """Return what the straight grid takes in memory."""
        return prod(self.shape) * dtype.itemsize

    def straight(self, array: np.ndarray, modality: str = "") -> np.ndarray:
        """Return slices (column, row, slice) on the straight grid, in their own type and Fortran-ordered.

        What no slice reaches gets the lowest value there is. Of CT all that is below `LOWEST_HU` becomes that
        first. Splines overshoot at edges: what leaves the range of the slices' values is put back to its end.
        """
        lowest = array.min().item()
        if modality == "CT":
            lowest = max(lowest, LOWEST_HU)
        highest = max(array.max().item(), lowest)
        out = np.empty(self.shape, array.dtype, order="F")
        nodes, weights = _splines(self.starts[:, 2], np.arange(self.shape[2]))
        planes: dict[int, np.ndarray] = {}
        for k in range(self.shape[2]):
            used = [(int(n), w) for n, w in zip(nodes[k], weights[k], strict=True) if w]
            planes = {
                n: planes[n] if n in planes else self._plane(np.maximum(array[:, :, n], lowest), n, lowest)
                for n, _ in used
            }
            plane = sum(w * planes[n] for n, w in used)
            if array.dtype.kind in "iu":
                plane = np.rint(plane)
            out[:, :, k] = np.clip(plane, lowest, highest)
        return out

    def on_slices(self, labels: np.ndarray) -> np.ndarray:
        """Return labels (I, J, K) of the straight grid on the slices that were read: each pixel's nearest."""
        columns, rows = self.size
        out = np.empty((columns, rows, len(self.starts)), labels.dtype, order="F")
        for n, (i, j, k) in enumerate(np.rint(self.starts).astype(int)):
            out[:, :, n] = labels[i : i + columns, j : j + rows, k]
        return out

    def _plane(self, pixels: np.ndarray, n: int, outside: float) -> np.ndarray:
        """Return slice `n` shifted to its place in a plane of the straight grid."""
        plane = pixels.astype(np.result_type(pixels.dtype, np.float32))
        for axis, start in enumerate(self.starts[n, :2]):
            if self.shape[axis] > self.size[axis]:
                plane = _shifted(plane.swapaxes(0, axis), start, self.shape[axis], outside).swapaxes(0, axis)
        return plane


def repairs_of(names: str | Sequence[str] | None) -> tuple[str, ...]:
    """Return the repairs that are asked for, without repeats, in the order of `REPAIRS`; none for nothing.

    Raises
    ------
    InputError
        `CONFIG_BAD_VALUE`.
    """
    asked = list(names) if isinstance(names, (list, tuple)) else [names] if names else []
    if any(name not in REPAIRS for name in asked):
        raise InputError("CONFIG_BAD_VALUE", f"repair {names!r}: some of {', '.join(REPAIRS)} are needed, or none")
    return tuple(name for name in REPAIRS if name in asked)


def _shifted(plane: np.ndarray, start: float, count: int, outside: float) -> np.ndarray:
    """Return `plane` on `count` places of its first axis, where its own first lies at `start`."""
    at = np.arange(count) - start
    last = len(plane) - 1
    nodes, weights = _splines(np.arange(last + 1), at)
    moved = sum(weights[:, each, None].astype(plane.dtype) * plane[nodes[:, each]] for each in range(4))
    moved[(at < -OUTSIDE) | (at > last + OUTSIDE)] = outside
    return moved


def _splines(nodes: np.ndarray, at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return for each place the four nodes (n, 4) whose values make its own, and their weights (n, 4).

    The slope at a node is that of the line through its two neighbours; at an end, through itself and its one.
    """
    last = len(nodes) - 1
    if not last:
        return np.zeros((len(at), 4), int), np.tile([1.0, 0.0, 0.0, 0.0], (len(at), 1))
    left = np.clip(np.searchsorted(nodes, at, side="right") - 1, 0, last - 1)
    four = np.clip(left[:, None] + np.arange(-1, 3), 0, last)
    a, b, c, d = np.asarray(nodes, float)[four].T
    part, gap = (at - b) / (c - b), c - b
    rise = part * (1 - part) ** 2 * gap / (c - a)  # of the slope at the left node, times its distance
    fall = part**2 * (1 - part) * gap / (d - b)
    ahead = part**2 * (3 - 2 * part)
    return four, np.stack([-rise, 1 - ahead + fall, ahead + rise, -fall], axis=1)
