"""How large a patch is, and how often the network halves each of its axes: nnU-Net's rules in a few numbers.

Isensee et al., nnU-Net, Nature Methods 2021, doi:10.1038/s41592-020-01008-z, its notes on the design, and its
planner at https://github.com/MIC-DKFZ/nnUNet.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

SHORTEST_AXIS = 4  # voxels that an axis keeps at the deepest level; it is halved from twice as many on
START_VOXELS = {3: 256**3, 2: 512**2}  # before it is clipped to the median shape and made to fit
Numbers = Sequence[float] | np.ndarray
NEAR = 2.0  # axes whose spacings differ by less are treated alike


@dataclass(frozen=True)
class Patch:
    """A patch and the levels of a network that sees it.

    Attributes
    ----------
    size
        Voxels along each axis.
    strides, kernels
        Of each level, the first one's stride 1.
    """

    size: tuple[int, ...]
    strides: tuple[tuple[int, ...], ...]
    kernels: tuple[tuple[int, ...], ...]

    @property
    def voxels(self) -> int:
        return prod(self.size)


def levels_of(size: Numbers, spacing_mm: Numbers) -> Patch:
    """Return the patch of at least that size whose axes can be halved, and where they are.

    From level to level those axes are halved that are at least 8 voxels long and whose spacing is within a factor
    of 2 of the finest such axis; a kernel is 1 across an axis until its spacing is within 2 of the finest.
    """
    now, mm = [float(n) for n in size], np.array(spacing_mm, dtype=float)
    strides, kernels = [(1,) * len(now)], [_kernel(mm, (1,) * len(now))]
    while True:
        can = [axis for axis, n in enumerate(now) if n >= 2 * SHORTEST_AXIS]
        if not can:
            break
        halved = [axis for axis in can if mm[axis] / min(mm[other] for other in can) < NEAR]
        if len(halved) == 1 and now[halved[0]] < 3 * SHORTEST_AXIS:
            break
        stride = tuple(2 if axis in halved else 1 for axis in range(len(now)))
        now = [np.ceil(n / s) for n, s in zip(now, stride, strict=True)]
        mm = mm * stride
        strides.append(stride)
        kernels.append(_kernel(mm, kernels[-1]))
    multiple = np.prod(strides, axis=0)
    padded = tuple(int(np.ceil(n / m) * m) for n, m in zip(size, multiple, strict=True))
    return Patch(padded, tuple(strides), tuple(kernels))


def fitting_patch(shape: Numbers, spacing_mm: Numbers, most_voxels: float) -> Patch:
    """Return the largest patch of at most `most_voxels`.

    It begins as a cube in mm, clipped to the median shape; while it is too large, the axis that is longest
    relative to that shape is shortened.

    Parameters
    ----------
    shape, spacing_mm
        Median shape of the cases on the network's grid, and its spacing; two of each for slices.
    most_voxels
        What time or memory allows.
    """
    spacing = np.asarray(spacing_mm, dtype=float)
    median = np.maximum(np.round(np.asarray(shape, dtype=float)), 1)
    side_mm = (START_VOXELS[len(spacing)] * spacing.prod()) ** (1 / len(spacing))
    size = np.minimum(np.maximum(np.round(side_mm / spacing), 1), median).astype(int)
    patch = levels_of(size, spacing)
    while patch.voxels > most_voxels:
        multiple = np.prod(patch.strides, axis=0)
        size = np.array(patch.size)
        can = size > np.maximum(multiple, 2 * SHORTEST_AXIS)
        if not can.any():
            break
        axis = int(np.argmax(np.where(can, size / median, 0)))
        size[axis] -= multiple[axis]
        patch = levels_of(size, spacing)
    return patch


def _kernel(spacing_mm: np.ndarray, before: Sequence[int]) -> tuple[int, ...]:
    near = spacing_mm / spacing_mm.min() < NEAR
    return tuple(3 if old == 3 or is_near else 1 for old, is_near in zip(before, near, strict=True))
