"""Where a training patch lies in its case, how it is turned, scaled and mirrored: one affine map, drawn once."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

MAX_VOXELS = 10_000  # of a class that are remembered of a case
THIN = 3  # a patch this many times shorter along an axis is turned and scaled across it alone; nnU-Net's threshold


@dataclass(frozen=True)
class Place:
    """A patch's voxel `p` shows the case at ``start + middle + matrix @ (p - middle)``, in voxels.

    Attributes
    ----------
    start
        Of the patch, were it neither turned nor scaled: whole voxels (3,).
    matrix
        3×3.
    elastic
        Displacements in voxels (3, i, j, k) of a coarse grid over the patch, or None.
    """

    start: np.ndarray
    matrix: np.ndarray
    elastic: np.ndarray | None = None


@dataclass(frozen=True)
class Spatial:
    """The ranges and probabilities of `Place`; see `medseg.training.augmentation` for each.

    `moved_axes` are those whose voxels may go elsewhere by more than whole planes: not a 2D patch's third axis,
    nor a coarse one.
    """

    patch_size: tuple[int, ...]
    flip_axes: tuple[int, ...]
    rotate_rad: tuple[float, ...]
    scale: tuple[float, float]
    shear: float
    shift: float
    elastic_voxels: float
    probabilities: Mapping[str, float]
    moved_axes: tuple[int, ...]

    def draw(self, shape: Sequence[int], voxel: np.ndarray | None, random: np.random.Generator) -> Place:
        """Return a place anywhere in a case of `shape`, or centred on `voxel` as far as the image reaches."""
        size = np.array(self.patch_size)
        slack = np.array(shape) - size
        over = np.where(size > 1, self.shift * size, 0)
        low = np.floor(np.minimum(0, slack / 2) - over + 0.5).astype(int)
        high = np.maximum(low, np.floor(np.maximum(slack, slack / 2) + over).astype(int))
        start = random.integers(low, high + 1) if voxel is None else np.clip(voxel - size // 2, low, high)
        return Place(start, self._matrix(random), self._elastic(random))

    def _matrix(self, random: np.random.Generator) -> np.ndarray:
        matrix = np.eye(3)
        if random.random() < self.probabilities["rotate"]:
            for axis, largest in enumerate(self.rotate_rad):
                angle = random.uniform(-largest, largest)
                if {0, 1, 2} - {axis} <= set(self.moved_axes):
                    matrix = matrix @ rotation(axis, angle)
            if self.shear:
                sheared = np.eye(3) + random.uniform(-self.shear, self.shear, (3, 3)) * (1 - np.eye(3))
                matrix = matrix @ self._kept_still(sheared)
        if random.random() < self.probabilities["scale"]:
            low, high = self.scale
            smaller = random.random(3) < 0.5
            factors = np.where(smaller, random.uniform(low, 1, 3), random.uniform(1, high, 3))
            matrix = matrix @ self._kept_still(np.diag(factors))
        mirrored = [axis in self.flip_axes and random.random() < 0.5 for axis in range(3)]
        return matrix * np.where(mirrored, -1, 1)

    def _kept_still(self, matrix: np.ndarray) -> np.ndarray:
        """Return a matrix that leaves the axes that do not move as they are."""
        still = [axis for axis in range(3) if axis not in self.moved_axes]
        matrix[still] = matrix[:, still] = 0
        matrix[still, still] = 1
        return matrix

    def _elastic(self, random: np.random.Generator) -> np.ndarray | None:
        if self.elastic_voxels == 0 or random.random() >= self.probabilities["elastic"]:
            return None
        points = [1 if n == 1 else max(3, math.ceil(n / 16) + 1) for n in self.patch_size]
        moved = random.uniform(-self.elastic_voxels, self.elastic_voxels, (3, *points)).astype(np.float32)
        moved[[axis for axis in range(3) if axis not in self.moved_axes]] = 0
        return moved


def rotation(axis: int, angle_rad: float) -> np.ndarray:
    """Return the 3×3 rotation about an axis."""
    first, second = [other for other in range(3) if other != axis]
    matrix = np.eye(3)
    matrix[first, first] = matrix[second, second] = math.cos(angle_rad)
    matrix[first, second], matrix[second, first] = -math.sin(angle_rad), math.sin(angle_rad)
    return matrix


def thin_axis(patch_size: Sequence[int]) -> int | None:
    """Return the axis along which a patch is over `THIN` times shorter than along its longest, if there is one."""
    shortest = int(np.argmin(patch_size))
    return shortest if max(patch_size) > THIN * patch_size[shortest] else None


def labelled_voxels(label: torch.Tensor, ignore_label: int | None = None) -> dict[int, torch.Tensor]:
    """Return up to `MAX_VOXELS` voxels of each class of a label map (1, I, J, K), as indices into it flattened.

    Background and `ignore_label` are left out; which voxels are kept of a larger class is always the same.
    """
    flat = label.reshape(-1)
    places = flat.nonzero()[:, 0]
    ids = flat[places].to(torch.int64)
    found = {}
    for each in ids.unique().tolist():
        if each not in (0, ignore_label):
            of_class = places[ids == each]
            if len(of_class) > MAX_VOXELS:
                chosen = np.random.default_rng(0).choice(len(of_class), MAX_VOXELS, replace=False)
                of_class = of_class[torch.from_numpy(np.sort(chosen))]
            found[int(each)] = of_class.to(torch.int64)
    return found


def draw_voxel(
    voxels: Mapping[int, torch.Tensor], shape: Sequence[int], random: np.random.Generator
) -> np.ndarray | None:
    """Return a random voxel (3,) of a class drawn uniformly among those of the case; None where it has none."""
    if not voxels:
        return None
    of_class = voxels[sorted(voxels)[random.integers(len(voxels))]]
    return np.array(np.unravel_index(int(of_class[random.integers(len(of_class))]), tuple(shape)))
