"""Where the voxels of a native grid lie on the network's, axis by axis: the two grids' axes are parallel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from medseg.errors import InputError
from medseg.geometry import parallel_axes

OFF_AXIS_VOXELS = 1e-2  # how far, over the whole volume, an axis may lean away from the grid's
SAME_PLACE_VOXELS = 1e-6  # a voxel this near to one of the grid is that one; what float64 affines leave of 0
INSIDE_VOXELS = 0.5 + 1e-3  # what lies further outside the grid was cropped away; rounded shapes leave up to 0.5


@dataclass(frozen=True)
class Places:
    """Where the voxels of one native axis, `start` to `stop`, lie along their axis of the grid.

    `lower` is the grid voxel at or below each, `weight` that of the next above; where all lie on grid voxels,
    `between` is False and there are no weights to speak of.
    """

    grid_axis: int
    start: int
    stop: int
    lower: torch.Tensor
    weight: torch.Tensor
    between: bool

    def among(self, first: int, cells: int) -> Places:
        """Return those that lie in `cells` cells from `first` on, counted from there."""
        found = torch.nonzero((self.lower >= first) & (self.lower < first + cells)).flatten()
        start, stop = (int(found[0]), int(found[-1]) + 1) if len(found) else (0, 0)
        return Places(
            self.grid_axis,
            self.start + start,
            self.start + stop,
            self.lower[start:stop] - first,
            self.weight[start:stop],
            self.between,
        )

    def on(self, device: torch.device) -> Places:
        return replace(self, lower=self.lower.to(device), weight=self.weight.to(device))

    def nearest(self) -> Places:
        """Return the same with each voxel on the nearer of the two of the grid, half way on the upper one."""
        lower = self.lower + (self.weight >= 0.5)
        return replace(self, lower=lower, weight=torch.zeros_like(self.weight), between=False)

    def most_in_a_cell(self) -> int:
        return int(torch.bincount(self.lower).max()) if len(self.lower) else 0


def match_axes(
    native_shape: Sequence[int], native_affine: np.ndarray, grid_shape: Sequence[int], grid_affine: np.ndarray
) -> list[Places]:
    to_grid = np.linalg.inv(np.asarray(grid_affine, float)) @ np.asarray(native_affine, float)
    order = parallel_axes(to_grid, native_shape, OFF_AXIS_VOXELS)
    if order is None:
        raise InputError(
            "GEOMETRY_BAD_AFFINE",
            "the axes of the network's grid and of the image are not parallel; preprocessing may permute, flip, "
            "scale, crop and pad axes, nothing else",
        )
    places = []
    for axis, grid_axis in enumerate(order):
        last = grid_shape[grid_axis] - 1
        position = to_grid[grid_axis, axis] * np.arange(native_shape[axis]) + to_grid[grid_axis, 3]
        inside = np.flatnonzero((position >= -INSIDE_VOXELS) & (position <= last + INSIDE_VOXELS))
        start, stop = (int(inside[0]), int(inside[-1]) + 1) if len(inside) else (0, 0)
        position = position[start:stop].clip(0, last)
        nearest = position.round()
        position = np.where(np.abs(position - nearest) < SAME_PLACE_VOXELS, nearest, position)
        between = bool((position != position.round()).any())
        lower = np.floor(position).astype(np.int64).clip(0, last - 1 if between else last)
        weight = torch.from_numpy((position - lower).astype(np.float32))
        places.append(Places(int(grid_axis), start, stop, torch.from_numpy(lower), weight, between))
    return places
