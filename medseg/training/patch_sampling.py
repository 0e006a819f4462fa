"""A patch looked up in a case by one affine map: cut where nothing turns, else interpolated once."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F

from medseg.training.patch_places import Place

CHUNKS = 8  # torch's sampling on CPUs has one thread for each image of a batch: a patch is cut into so many


def sample_patch(
    volumes: Sequence[tuple[torch.Tensor, str]], size: Sequence[int], place: Place, device: torch.device
) -> list[torch.Tensor]:
    """Return the patch at `place` of volumes that share a grid; 0 outside of them.

    Parameters
    ----------
    volumes
        Each (C, I, J, K), of any type, perhaps in a file, and how it is interpolated: ``"bilinear"`` or
        ``"nearest"``.
    size
        Voxels of the patch.
    device
        Where it is sampled and left; only the box that the patch touches is sent there.

    Returns
    -------
    list of torch.Tensor
        float32 (C, *size).
    """
    shape = volumes[0][0].shape[1:]
    middle = (np.array(size) - 1) / 2
    centre = place.start + middle
    reach = np.abs(place.matrix) @ middle
    if place.elastic is not None:
        reach = reach + np.abs(place.elastic).max(axis=(1, 2, 3))
    low = np.clip(np.floor(centre - reach + 1e-6).astype(int), 0, shape)
    high = np.clip(np.ceil(centre + reach - 1e-6).astype(int) + 1, low, shape)
    if (high <= low).any():
        return [torch.zeros((len(volume), *size), device=device) for volume, _ in volumes]
    box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    found = []
    for volume, mode in volumes:
        inside = volume[(slice(None), *box)].to(device=device, dtype=torch.float32)
        found.append(_looked_up(inside, size, place, centre - low, mode))
    return found


def _looked_up(
    inside: torch.Tensor, size: Sequence[int], place: Place, centre: np.ndarray, mode: str
) -> torch.Tensor:
    matrix = place.matrix
    if place.elastic is None:
        if (np.abs(matrix) == np.eye(3)).all():
            return _cut(inside, size, centre, matrix)
        for axis in (2, 1, 0):
            if not (np.delete(matrix[axis], axis).any() or np.delete(matrix[:, axis], axis).any()):
                return _in_plane(inside, size, matrix, centre, axis, mode)
    return _in_space(inside, size, place, centre, mode)


def _cut(inside: torch.Tensor, size: Sequence[int], centre: np.ndarray, matrix: np.ndarray) -> torch.Tensor:
    """Cut, pad and mirror: no voxel changes."""
    start = np.round(centre - (np.array(size) - 1) / 2).astype(int)
    pads: list[int] = []
    for a, n, length in zip(start[::-1], size[::-1], inside.shape[:0:-1], strict=True):
        pads += [-int(a), int(a + n - length)]
    patch = F.pad(inside, pads) if any(pads) else inside
    mirrored = [1 + axis for axis in range(3) if matrix[axis, axis] < 0]
    return patch.flip(mirrored) if mirrored else patch


def _in_plane(
    inside: torch.Tensor, size: Sequence[int], matrix: np.ndarray, centre: np.ndarray, axis: int, mode: str
) -> torch.Tensor:
    """Interpolate along one axis, then in the planes across it, which is the same and several times as fast."""
    others = [each for each in range(3) if each != axis]
    position = centre[axis] + matrix[axis, axis] * (np.arange(size[axis]) - (size[axis] - 1) / 2)
    planes = _along(inside.movedim(1 + axis, 1), position, mode)
    channels, n = planes.shape[:2]
    grid = torch.empty([size[other] for other in others] + [2], device=inside.device)
    for place, row in enumerate(reversed(others)):
        sizes = [size[other] for other in others]
        _look(grid[..., place], matrix[row, others], centre[row], sizes, inside.shape[1 + row])
    images = planes.reshape(1, channels * n, *planes.shape[2:])
    found = F.grid_sample(images, grid[None], mode=mode, align_corners=False)
    return found.view(channels, n, *found.shape[2:]).movedim(1, 1 + axis)


def _along(volume: torch.Tensor, position: np.ndarray, mode: str) -> torch.Tensor:
    """Return `volume` at positions along its second axis, 0 outside."""
    length = volume.shape[1]
    if mode == "nearest" or (position == np.round(position)).all():
        lower, weights = np.floor(position + 0.5).astype(int), [np.ones(len(position))]
    else:
        lower = np.floor(position).astype(int)
        weights = [lower + 1 - position, position - lower]
    total: torch.Tensor | None = None
    for step, weight in enumerate(weights):
        index = lower + step
        weight = np.where((index >= 0) & (index < length), weight, 0).astype(np.float32)
        chosen = torch.from_numpy(index.clip(0, length - 1)).to(volume.device)
        values = volume.index_select(1, chosen)
        if (weight != 1).any():
            values = values * torch.from_numpy(weight).to(volume.device).view(1, -1, 1, 1)
        total = values if total is None else total + values
    assert total is not None
    return total


def _in_space(
    inside: torch.Tensor, size: Sequence[int], where: Place, centre: np.ndarray, mode: str
) -> torch.Tensor:
    displaced: torch.Tensor | None = None
    if where.elastic is not None:
        moved = torch.from_numpy(where.elastic).to(inside.device)[None]
        displaced = F.interpolate(moved, size=tuple(size), mode="trilinear", align_corners=True)[0]
    grid = torch.empty((*size, 3), device=inside.device)
    for place, row in enumerate((2, 1, 0)):
        _look(grid[..., place], where.matrix[row], centre[row], size, inside.shape[1 + row])
        if displaced is not None:
            grid[..., place] += displaced[row] * (2 / inside.shape[1 + row])
    chunks = math.gcd(size[0], CHUNKS) if inside.device.type == "cpu" else 1
    grid = grid.view(chunks, size[0] // chunks, *grid.shape[1:])
    images = inside[None].expand(chunks, *inside.shape)
    found = F.grid_sample(images, grid, mode=mode, align_corners=False)
    return found.transpose(0, 1).reshape(len(inside), *size)


def _look(coordinate: torch.Tensor, row: np.ndarray, centre: float, size: Sequence[int], length: int) -> None:
    """Write where each voxel of a patch looks along one axis, in torch's unit: -1 to 1 over the axis."""
    total = torch.tensor((2 * centre + 1) / length - 1, dtype=torch.float32, device=coordinate.device)
    for axis, (factor, n) in enumerate(zip(row, size, strict=True)):
        steps = (np.arange(n) - (n - 1) / 2) * (2 * factor / length)
        view = [n if each == axis else 1 for each in range(len(size))]
        along = torch.from_numpy(steps.astype(np.float32)).to(coordinate.device).view(view)
        total = total + along if axis < len(size) - 1 else torch.add(total, along, out=coordinate)
