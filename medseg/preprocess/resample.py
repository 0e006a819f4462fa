"""To the network's orientation and spacing, in one pass over the voxels as they lie in memory.

Linear interpolation along one axis after the other gives what trilinear interpolation gives (the weights of the
eight corners are products), at a fraction of its memory traffic.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform
from monai.utils import MetaKeys, ensure_tuple_rep
from nibabel import orientations

from medseg.errors import InputError
from medseg.geometry import spacing_mm_of

SAME_SPACING_MM = 1e-3  # an axis whose spacing is this near to the wanted one keeps its voxels; MONAI's tolerance
BLOCK_VOXELS = 2**20  # converted and interpolated at a time: what stays in the cache, measured fastest
MODES = ("linear", "nearest")


class Resampled(MapTransform):
    """Turn volumes (1, I, J, K) to an orientation and resample them to a spacing; gives contiguous float32.

    Parameters
    ----------
    spacing_mm, orientation
        See `resample`.
    mode
        ``"linear"``, or ``"nearest"`` for labels; one for all keys or one each.
    """

    def __init__(
        self,
        keys: KeysCollection,
        spacing_mm: Sequence[float] | None = None,
        mode: str | Sequence[str] = "linear",
        orientation: str | None = None,
    ) -> None:
        super().__init__(keys)
        self.mode = ensure_tuple_rep(mode, len(self.keys))
        self.spacing_mm, self.orientation = spacing_mm, orientation

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        out = dict(data)
        for key, mode in self.key_iterator(out, self.mode):
            image = out[key]
            voxels, affine = resample(
                image.as_tensor()[0],
                np.asarray(image.affine),
                spacing_mm=self.spacing_mm,
                orientation=self.orientation,
                mode=mode,
            )
            meta = {**image.meta, MetaKeys.AFFINE: torch.from_numpy(affine)}
            out[key] = MetaTensor(voxels[None], meta=meta)
        return out


def resample(
    voxels: torch.Tensor,
    affine: np.ndarray,
    *,
    spacing_mm: Sequence[float] | None = None,
    orientation: str | None = None,
    mode: str = "linear",
) -> tuple[torch.Tensor, np.ndarray]:
    """Turn a volume to an orientation and resample it to a spacing.

    The first voxel of the turned volume keeps its place, and the spacing is exact; so the last one may lie up to
    half a new voxel before or behind the old last one, and what is behind repeats it: the grid and the values of
    ``monai.transforms.Spacing``, save that shear within `medseg.read`'s tolerance stays in the affine.

    Parameters
    ----------
    voxels
        (I, J, K), of any real type and any order in memory.
    affine
        4×4, voxel index to RAS+ mm.
    spacing_mm
        Of the turned axes; -1 keeps an axis, as does a spacing within `SAME_SPACING_MM`: its voxels stay as they
        are, bit by bit. None keeps all.
    orientation
        Axis codes such as ``"RAS"``: axes are permuted and flipped to run there. None keeps them.
    mode
        ``"linear"``, or ``"nearest"`` for labels.

    Returns
    -------
    voxels
        float32, contiguous, in memory of its own.
    affine
        Of the new voxels.

    Raises
    ------
    InputError
        `CONFIG_BAD_VALUE` for an unknown `mode`, or spacings that are not three numbers.
    """
    wanted_mm = (-1.0,) * 3 if spacing_mm is None else tuple(float(s) for s in spacing_mm)
    if mode not in MODES or len(wanted_mm) != 3 or not np.isfinite(wanted_mm).all():
        raise InputError(
            "CONFIG_BAD_VALUE",
            f"mode {mode!r}, spacing_mm {spacing_mm!r}: {' and '.join(MODES)}, and three numbers are known",
        )
    turn = orientations.io_orientation(affine)
    codes = orientations.aff2axcodes(affine) if orientation is None else orientation
    turn = orientations.ornt_transform(turn, orientations.axcodes2ornt(codes))
    affine = affine @ orientations.inv_ornt_aff(turn, voxels.shape)
    axes: list[_Axis] = []
    for size, (turned, sign) in zip(voxels.shape, turn, strict=True):
        step, spacing = 1.0, spacing_mm_of(affine)[int(turned)]
        if wanted_mm[int(turned)] > 0 and abs(wanted_mm[int(turned)] - spacing) > SAME_SPACING_MM:
            step = wanted_mm[int(turned)] / spacing
            affine[:3, int(turned)] *= step
        axes.append(_Axis.sampled(int(turned), size, step, sign < 0, mode))
    order = sorted(range(3), key=voxels.stride, reverse=True)  # as they lie in memory, the slowest first
    axes = [axes[axis] for axis in order]
    shape = [len(next(axis for axis in axes if axis.turned == a).lower) for a in range(3)]
    out = torch.empty(shape, dtype=torch.float32)
    source, target = voxels.permute(order), out.permute([axis.turned for axis in axes])
    if target.shape[0] > source.shape[0]:  # the slowest axis grows: last, on planes that are resampled already
        slow, axes = axes[0], [_Axis.sampled(0, source.shape[0]), *axes[1:]]
        between = torch.empty((len(source), *target.shape[1:]), dtype=torch.float32)
        _interpolate(source, axes, between)
        source, axes = between, [slow, *(_Axis.sampled(0, n) for n in target.shape[1:])]
    _interpolate(source, axes, target)
    return out, affine


@dataclass(frozen=True)
class _Axis:
    """Where the new voxels of one axis lie among the old: at `lower`, or `weight` of the way to the next.

    `turned` is which axis of the result it becomes.
    """

    turned: int
    lower: torch.Tensor
    weight: torch.Tensor | None
    kept: bool

    @classmethod
    def sampled(
        cls, turned: int, size: int, step: float = 1.0, flipped: bool = False, mode: str = "linear"
    ) -> _Axis:
        # Rounded first, so that noise of 1e-16 does not choose between two sizes; then as MONAI, half to even.
        n = int(np.round(np.round((size - 1) / step, 6) + 1))
        position = np.minimum(np.arange(n) * step, size - 1)
        if flipped:
            position = size - 1 - position
        if step == 1.0 or size == 1 or mode == "nearest":
            lower = torch.from_numpy(np.floor(position + 0.5).astype(np.int64))
            return cls(turned, lower, None, kept=step == 1.0 and not flipped)
        nearest = np.floor(position).clip(0, size - 2)
        weight = torch.from_numpy((position - nearest).astype(np.float32))
        return cls(turned, torch.from_numpy(nearest.astype(np.int64)), weight, kept=False)


def _interpolate(source: torch.Tensor, axes: Sequence[_Axis], target: torch.Tensor) -> None:
    """Fill `target` in blocks of planes along the first axis; shrink before anything grows."""
    first, *others = axes
    across = sorted((1, 2), key=lambda dim: target.shape[dim] / source.shape[dim])
    planes = max(1, BLOCK_VOXELS // source[0].numel())
    for start in range(0, len(target), planes):
        part = slice(start, start + planes)
        lower = first.lower[part]
        low, high = int(lower.min()), int(lower.max()) + (1 if first.weight is None else 2)
        weight = None if first.weight is None else first.weight[part]
        block = source[low:high].to(torch.float32)
        if not first.kept:
            block = _along(block, 0, lower - low, weight)
        for dim in across:
            if not others[dim - 1].kept:
                block = _along(block, dim, others[dim - 1].lower, others[dim - 1].weight)
        target[part] = block


def _along(block: torch.Tensor, dim: int, lower: torch.Tensor, weight: torch.Tensor | None) -> torch.Tensor:
    values = block.index_select(dim, lower)
    if weight is None:
        return values
    shape = [1, 1, 1]
    shape[dim] = -1
    return torch.lerp(values, block.index_select(dim, lower + 1), weight.view(shape))
