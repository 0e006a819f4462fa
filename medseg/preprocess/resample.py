"""To the network's orientation and spacing, in one pass over the voxels as they lie in memory.

Linear interpolation along one axis after the other gives what trilinear interpolation gives (the weights of the
eight corners are products), at a fraction of its memory traffic; so does cubic interpolation.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from functools import partial
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
from medseg.preprocess.axes import MODES, Axis

COARSE_AXIS = "coarse_axis"  # key of a tensor's metadata
SAME_SPACING_MM = 1e-3  # an axis whose spacing is this near to the wanted one keeps its voxels; MONAI's tolerance
BLOCK_VOXELS = 2**20  # converted and interpolated at a time: what stays in the cache, measured fastest


class Resampled(MapTransform):
    """Turn volumes (channels, I, J, K) to an orientation and resample them to a spacing; gives contiguous float32.

    Parameters
    ----------
    spacing_mm, orientation, coarse_axis
        See `resample`. A coarse axis stands in the metadata, for the way back.
    mode
        ``"linear"``, ``"cubic"``, or, for labels, ``"nearest"`` or ``"share"`` (`resample_labels`); one for all
        keys or one each.
    """

    def __init__(
        self,
        keys: KeysCollection,
        spacing_mm: Sequence[float] | None = None,
        mode: str | Sequence[str] = "linear",
        orientation: str | None = None,
        coarse_axis: int | None = None,
    ) -> None:
        super().__init__(keys)
        self.mode = ensure_tuple_rep(mode, len(self.keys))
        self.grid: dict[str, Any] = {
            "spacing_mm": spacing_mm,
            "orientation": orientation,
            "coarse_axis": coarse_axis,
        }

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        out = dict(data)
        for key, mode in self.key_iterator(out, self.mode):
            image = out[key]
            change = partial(resample_labels if mode == "share" else partial(resample, mode=mode), **self.grid)
            first, *further = image.as_tensor()
            voxels, affine = change(first, np.asarray(image.affine))
            voxels = voxels[None]
            if further:
                voxels = voxels.repeat(len(image), 1, 1, 1)
                for target, channel in zip(voxels[1:], further, strict=True):
                    target[...] = change(channel, np.asarray(image.affine))[0]
            meta = {**image.meta, MetaKeys.AFFINE: torch.from_numpy(affine)}
            if self.grid["coarse_axis"] is not None:
                meta[COARSE_AXIS] = self.grid["coarse_axis"]
            out[key] = MetaTensor(voxels, meta=meta)
        return out


def resample(
    voxels: torch.Tensor,
    affine: np.ndarray,
    *,
    spacing_mm: Sequence[float] | None = None,
    orientation: str | None = None,
    mode: str = "linear",
    coarse_axis: int | None = None,
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
        ``"linear"``; ``"cubic"``, smoothed where voxels grow (`medseg.preprocess.axes.cubic_weights`);
        ``"nearest"``, for labels; ``"share"``, linear along axes whose voxels grow, else nearest.
    coarse_axis
        An axis of the turned volume across which the nearest plane is taken whatever the `mode` is, since what
        lies between planes far apart is no mean of them. None for no such axis.

    Returns
    -------
    voxels
        float32, contiguous, in memory of its own.
    affine
        Of the new voxels.

    Raises
    ------
    InputError
        `CONFIG_BAD_VALUE` for an unknown `mode` or axis, or spacings that are not three numbers.
    """
    wanted_mm = (-1.0,) * 3 if spacing_mm is None else tuple(float(s) for s in spacing_mm)
    known = mode in MODES and coarse_axis in (None, 0, 1, 2)
    if not known or len(wanted_mm) != 3 or not np.isfinite(wanted_mm).all():
        raise InputError(
            "CONFIG_BAD_VALUE",
            f"interpolation {mode!r}, coarse_axis {coarse_axis!r}, spacing_mm {spacing_mm!r}: {', '.join(MODES)}, "
            "null or 0 to 2, and three numbers are known",
        )
    turn = orientations.io_orientation(affine)
    codes = orientations.aff2axcodes(affine) if orientation is None else orientation
    turn = orientations.ornt_transform(turn, orientations.axcodes2ornt(codes))
    affine = affine @ orientations.inv_ornt_aff(turn, voxels.shape)
    axes = _axes(voxels.shape, turn, affine, wanted_mm, (mode, coarse_axis))
    order = sorted(range(3), key=voxels.stride, reverse=True)  # as they lie in memory, the slowest first
    axes = [axes[axis] for axis in order]
    shape = [len(next(axis for axis in axes if axis.turned == a).lower) for a in range(3)]
    out = torch.empty(shape, dtype=torch.float32)
    source, target = voxels.permute(order), out.permute([axis.turned for axis in axes])
    # The slowest axis grows, or takes many planes for each: last, on planes that are resampled already
    if target.shape[0] > source.shape[0] or axes[0].matrix is not None:
        slow, axes = axes[0], [Axis.sampled(0, source.shape[0]), *axes[1:]]
        between = torch.empty((len(source), *target.shape[1:]), dtype=torch.float32)
        _interpolate(source, axes, between)
        source, axes = between, [slow, *(Axis.sampled(0, n) for n in target.shape[1:])]
    _interpolate(source, axes, target)
    return out, affine


def _axes(
    shape: Sequence[int],
    turn: np.ndarray,
    affine: np.ndarray,
    wanted_mm: Sequence[float],
    way: tuple[str, int | None],
) -> list[Axis]:
    """Return the old axes as they are sampled, by mode and coarse axis; `affine` becomes the result's."""
    axes: list[Axis] = []
    for size, (turned, sign) in zip(shape, turn, strict=True):
        step, spacing = 1.0, spacing_mm_of(affine)[int(turned)]
        if wanted_mm[int(turned)] > 0 and abs(wanted_mm[int(turned)] - spacing) > SAME_SPACING_MM:
            step = wanted_mm[int(turned)] / spacing
            affine[:3, int(turned)] *= step
        mode, coarse_axis = way
        along = {"share": "linear" if step > 1 else "nearest"}.get(mode, mode)
        along = "nearest" if turned == coarse_axis else along
        axes.append(Axis.sampled(int(turned), size, step, sign < 0, along))
    return axes


def resample_labels(voxels: torch.Tensor, affine: np.ndarray, **grid: Any) -> tuple[torch.Tensor, np.ndarray]:
    """Give each new voxel the label with the largest share of it: where voxels grow, the nearest one says less.

    Shares are interpolated linearly along the axes whose voxels grow; along others labels are looked up. To the
    network's grid and back, labels of the hippocampus keep a Dice of 0.944 in place of 0.928 (voxels of 1.25 mm
    for 1 mm; ACDC 0.937, 0.926), while looking up is better where voxels shrink (0.998, 0.994 for 0.8 mm).

    Parameters, Returns
    -------------------
        As `resample`, of whose `mode` this is one.
    """
    best: torch.Tensor | None = None
    for label in torch.unique(voxels).tolist():
        share, new_affine = resample(voxels == label, affine, mode="share", **grid)
        if best is None:
            best, chosen = share, torch.full_like(share, label)
        else:
            chosen[share > best] = label
            torch.maximum(best, share, out=best)
    return chosen, new_affine


def _interpolate(source: torch.Tensor, axes: Sequence[Axis], target: torch.Tensor) -> None:
    """Fill `target` in blocks of planes along the first axis; shrink before anything grows."""
    first, *others = axes
    across = sorted((1, 2), key=lambda dim: target.shape[dim] / source.shape[dim])
    planes = max(1, BLOCK_VOXELS // source[0].numel())
    for start in range(0, len(target), planes):
        part = slice(start, min(start + planes, len(target)))
        low, high = first.needs(part)
        block = source[low:high].to(torch.float32)
        if not first.kept:
            block = first.along(block, 0, part, low)
        for dim in across:
            if not others[dim - 1].kept:
                block = others[dim - 1].along(block, dim)
        target[part] = block
