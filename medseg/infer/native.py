"""From scores on the network's grid to labels on the image's own, slab by slab.

Preprocessing permutes, flips, scales, crops and pads axes, nothing else, so a native voxel's place on the
network's grid is three independent numbers. Scores are interpolated there, linearly, and only then is the best
class taken: labels are never interpolated, and all classes never stand on the native grid at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod

import numpy as np
import torch
from monai.data import MetaTensor
from torch.nn.functional import embedding_bag

from medseg.infer.decisions import Decision, best_class, codes_of_cells, last_region
from medseg.infer.native_axes import Places, match_axes
from medseg.preprocess import COARSE_AXIS

STEP_ELEMENTS = 2**23  # scores looked at in one step, unless `STEP_PLANES` are more
STEP_PLANES = 8  # neighbouring steps share one
CHUNK_VOXELS = 2**17  # native voxels interpolated at a time
# Where more than this share of a step's voxels lie between different labels, all of them are interpolated, plane
# by plane. On 2 cores that took 0.07 s for 9.8 million voxels of 3 classes (12: 0.15, 30: 0.43); those in mixed
# cells alone took as long at a share of 0.07 (12: 0.13, 30: 0.3), and else in proportion to it.
DENSE_SHARE = 0.05
DENSE_SHARE_A_CLASS = 0.008


class NativeLabels:
    """Collects finished slabs of scores and turns them into a label map on the native grid.

    A native voxel gets the class whose scores, interpolated linearly between the eight network voxels around it,
    are best, the first of equals. Coordinates are clamped to the grid's edge; voxels more than half a voxel
    beyond it, which a crop cut off, get 0.

    Parameters
    ----------
    native_shape, native_affine
        Of the label map: (I, J, K), and 4×4, voxel index to RAS+ mm.
    grid_shape, grid_affine
        Of the network's output.
    axis
        The network grid's axis, 0 to 2, along which the slabs come.
    coarse_axis
        The network grid's axis across which scores are taken from the nearest plane; None for none.
    region_ids
        Where scores are logits of overlapping regions: the id that each region has in the label map, which gets of
        each voxel that of its last region with a score above 0, a probability above 0.5. Otherwise None.

    Raises
    ------
    InputError
        `GEOMETRY_BAD_AFFINE` where the two grids' axes are not parallel.
    """

    def __init__(
        self,
        *,
        native_shape: Sequence[int],
        native_affine: np.ndarray,
        grid_shape: Sequence[int],
        grid_affine: np.ndarray,
        axis: int,
        coarse_axis: int | None = None,
        region_ids: Sequence[int] | None = None,
    ) -> None:
        self.region_ids = region_ids
        self.native_shape = tuple(int(n) for n in native_shape)
        self.grid_shape = tuple(int(n) for n in grid_shape)
        self.axis = axis
        axes = match_axes(self.native_shape, native_affine, self.grid_shape, grid_affine)
        self._axes = [each.nearest() if each.grid_axis == coarse_axis else each for each in axes]
        self._slab_axis = next(a for a, places in enumerate(self._axes) if places.grid_axis == axis)
        self._labels: torch.Tensor | None = None  # axes (K, J, I): voxels lie as NIfTI stores them
        self._carried: torch.Tensor | None = None  # the last plane that came
        self._n_planes = self._classes = 0

    def add(self, scores: torch.Tensor) -> None:
        """Take the next planes.

        Parameters
        ----------
        scores
            (classes, I, J, K), float32, whole in the two axes other than `axis`; its planes follow those that came
            before, ascending. The memory may be used again after the call. Labels are made where the scores are.
        """
        scores = scores.detach().as_subclass(torch.Tensor).float()
        classes, depth = self._classes or len(scores), scores.shape[1 + self.axis]
        fitting = [classes, *self.grid_shape]
        fitting[1 + self.axis] = depth
        if list(scores.shape) != fitting:
            raise ValueError(f"scores {tuple(scores.shape)} are no slab of {(classes, *self.grid_shape)}")
        if self._n_planes + depth > self.grid_shape[self.axis]:
            raise ValueError(f"{self._n_planes + depth} planes came, the grid has {self.grid_shape[self.axis]}")
        if self._labels is None:
            self._classes = classes
            codes = classes + (self.region_ids is not None)  # with that of no region
            dtype = torch.uint8 if codes < 256 else torch.int16
            self._labels = torch.zeros(self.native_shape[::-1], dtype=dtype, device=scores.device)
        first, self._n_planes = self._n_planes, self._n_planes + depth
        if self._axes[self._slab_axis].between and self._carried is not None:
            seam = scores.narrow(1 + self.axis, 0, 1)
            self._step(torch.cat([self._carried, seam], dim=1 + self.axis), first - 1)
        for start, stop in self._steps(depth):
            self._step(scores.narrow(1 + self.axis, start, stop - start), first + start)
        if self._axes[self._slab_axis].between:
            self._carried = scores.narrow(1 + self.axis, depth - 1, 1).clone()

    def finish(self) -> np.ndarray:
        """Return the labels (I, J, K), uint8, or uint16 where there are more than 256 classes; Fortran-ordered."""
        if self._labels is None or self._n_planes != self.grid_shape[self.axis]:
            raise ValueError(f"{self._n_planes} of {self.grid_shape[self.axis]} planes came")
        labels = self._labels.cpu().numpy().T
        if self.region_ids is not None:
            ids = np.array([0, *self.region_ids])
            return ids.astype(np.uint8 if ids.max() < 256 else np.uint16)[labels]
        return labels.astype(np.uint8 if self._classes <= 256 else np.uint16, copy=False)

    def extra_bytes(self, classes: int, slab_depth: int) -> int:
        """Return an upper bound of the memory taken beside the scores that come and the label map itself.

        Parameters
        ----------
        classes, slab_depth
            Of the scores given to `add`, the latter in planes.
        """
        plane = prod(self.grid_shape) // self.grid_shape[self.axis]
        depth = max(2, min(slab_depth, self._planes_a_step(classes)))
        grid = depth * plane
        native = prod(
            min((depth if places.grid_axis == self.axis else len(places.lower)) * most, len(places.lower))
            for places, most in ((places, places.most_in_a_cell()) for places in self._axes)
        )
        label = 1 if classes < 256 else 2
        carried = 3 * 4 * classes * plane  # kept, and joined with the next plane at the seam
        # On the grid: scores by rows, twice while they are turned; the best and its int64 label; codes, twice;
        # which voxels are needed, twice, with their int64 places and int32 rows.
        on_grid = grid * (2 * 4 * classes + (4 + 8) + 2 * label + 2 + 8 + 4)
        # On the native grid: codes in two stages, which are mixed, and the int64 places of those.
        on_native = native * (2 * label + 1 + 8 * min(1.0, DENSE_SHARE + DENSE_SHARE_A_CLASS * classes))
        chunk = CHUNK_VOXELS * (8 * (8 + 8 + 4 + 4 + 4) + 2 * 4 * classes + 8 * 8)
        kept = 2**24  # by the allocator, between what it was given
        return int(carried + on_grid + on_native + chunk + kept)

    def _planes_a_step(self, classes: int) -> int:
        plane = prod(self.grid_shape) // self.grid_shape[self.axis]
        return max(STEP_PLANES, STEP_ELEMENTS // (plane * classes))

    def _steps(self, depth: int) -> Iterator[tuple[int, int]]:
        """Cut a slab into steps; they share a plane where voxels lie between planes."""
        shared = int(self._axes[self._slab_axis].between)
        most = self._planes_a_step(self._classes)
        for start in range(0, depth - shared, most - shared):
            yield start, min(start + most, depth)

    def _step(self, scores: torch.Tensor, first: int) -> None:
        """Label the native voxels that lie among the planes of `scores`, of which `first` is the first."""
        assert self._labels is not None
        planes = scores.shape[1 + self.axis]
        places = [
            (axis.among(first, planes - axis.between) if a == self._slab_axis else axis).on(scores.device)
            for a, axis in enumerate(self._axes)
        ][::-1]  # in the order of the label map's memory, the last axis first
        if min(len(axis.lower) for axis in places) == 0:
            return
        if self.region_ids is not None:
            decide: Decision = last_region
        else:
            decide = best_class
            scores = (scores[1] - scores[0])[None] if self._classes == 2 else scores
        best = decide(scores, dim=0, dtype=self._labels.dtype)
        mixed_code = torch.iinfo(best.dtype).max
        code = codes_of_cells(best, [a.grid_axis for a in places if a.between], mixed_code)
        block = code.permute([axis.grid_axis for axis in places]).contiguous()
        for dim in (2, 1, 0):
            block = block.index_select(dim, places[dim].lower)
        mixed = block == mixed_code
        share = int(mixed.count_nonzero()) / mixed.numel()
        if share > DENSE_SHARE + DENSE_SHARE_A_CLASS * self._classes:
            _label_all(scores, places, block, decide)
        elif share:
            _label_some(scores, code == mixed_code, places, _places_of(mixed), block.view(-1), decide)
        self._labels[tuple(slice(axis.start, axis.stop) for axis in places)] = block


def native_grid(image: MetaTensor) -> tuple[list[int], np.ndarray]:
    """Return the shape and affine that `image` was read with."""
    return np.asarray(image.meta["spatial_shape"]).tolist(), np.asarray(image.meta["original_affine"], float)


def coarse_axis(image: MetaTensor) -> int | None:
    """Return the axis of `image` across which its voxels were looked up by nearest neighbour."""
    found = image.meta.get(COARSE_AXIS)
    return None if found is None else int(found)


def native_labels(image: MetaTensor, axis: int, region_ids: Sequence[int] | None = None) -> NativeLabels:
    """Return what takes slabs on the grid of `image` and labels the grid it was read with."""
    native_shape, native_affine = native_grid(image)
    return NativeLabels(
        native_shape=native_shape,
        native_affine=native_affine,
        grid_shape=image.shape[1:],
        grid_affine=np.asarray(image.affine, float),
        axis=axis,
        coarse_axis=coarse_axis(image),
        region_ids=region_ids,
    )


def _places_of(mask: torch.Tensor) -> torch.Tensor:
    """Return where `mask`, flattened, is true; on a CPU NumPy finds it sooner than torch."""
    if mask.device.type == "cpu":
        return torch.from_numpy(np.flatnonzero(mask.numpy()))
    return mask.flatten().nonzero()[:, 0]


def _label_some(
    scores: torch.Tensor,
    mixed: torch.Tensor,
    places: Sequence[Places],
    voxels: torch.Tensor,
    labels: torch.Tensor,
    decide: Decision,
) -> None:
    """Interpolate at `voxels` alone, which count through the native block, and put their labels in `labels`.

    The corners of the mixed cells, (corner, class), are gathered first, so that each is read from all classes'
    distant planes once; then a voxel is a weighted sum of eight rows.
    """
    shape = scores.shape[1:]
    needed = torch.zeros(shape, dtype=torch.bool, device=scores.device)
    needed[tuple(slice(0, n) for n in mixed.shape)] = mixed
    for axis in places:
        if axis.between:
            n = shape[axis.grid_axis] - 1
            needed.narrow(axis.grid_axis, 1, n).logical_or_(needed.narrow(axis.grid_axis, 0, n).clone())
    corners = _places_of(needed)
    row_of = torch.empty(needed.numel(), dtype=torch.int32, device=scores.device)
    row_of[corners] = torch.arange(len(corners), dtype=torch.int32, device=scores.device)
    flat = scores.flatten(1)  # as slabs come, a voxel's classes lie together already
    rows = flat.T.index_select(0, corners) if flat.stride(0) == 1 else flat.index_select(1, corners).T.contiguous()
    strides = (shape[1] * shape[2], shape[2], 1)
    starts = [axis.lower * strides[axis.grid_axis] for axis in places]
    between = [n for n, axis in enumerate(places) if axis.between]
    further = torch.zeros(1, dtype=torch.int64, device=scores.device)  # each corner's place, from the lowest
    for n in between:
        further = torch.cat([further, further + strides[places[n].grid_axis]])
    n1, n2 = len(places[1].lower), len(places[2].lower)
    for chunk in voxels.split(CHUNK_VOXELS):
        index = (chunk // (n1 * n2), chunk // n2 % n1, chunk % n2)
        lowest = sum(start.index_select(0, i) for start, i in zip(starts, index, strict=True))
        assert isinstance(lowest, torch.Tensor)
        corner = row_of.index_select(0, (lowest[:, None] + further).flatten()).view(len(chunk), -1)
        weight = torch.ones(1, len(chunk), device=scores.device)  # (corner, voxel), which is put together fastest
        for n in between:
            upper = places[n].weight.index_select(0, index[n])
            weight = torch.cat([weight * (1 - upper), weight * upper])
        sums = embedding_bag(corner, rows, mode="sum", per_sample_weights=weight.T.contiguous())
        labels[chunk] = decide(sums, dim=1, dtype=labels.dtype)


def _label_all(scores: torch.Tensor, places: Sequence[Places], labels: torch.Tensor, decide: Decision) -> None:
    """Interpolate at all native voxels (K, J, I) of the block, plane by plane; each plane has the same corners."""
    first, *others = places
    planes = scores.permute([1 + axis.grid_axis for axis in places] + [0]).contiguous()  # (K, J, I, class)
    plane_shape = planes.shape[1:3]
    corner = torch.zeros(1, 1, 1, dtype=torch.int32, device=scores.device)
    weight = torch.ones(1, 1, 1, device=scores.device)
    for axis, stride, across in zip(others, (plane_shape[1], 1), ((-1, 1, 1), (1, -1, 1)), strict=True):
        corner = corner + (axis.lower * stride).to(torch.int32).view(across)
        if axis.between:
            upper = axis.weight.view(across)
            corner = torch.cat([corner, corner + stride], dim=2)
            weight = torch.cat([weight * (1 - upper), weight * upper], dim=2)
        else:
            weight = weight.expand(*corner.shape[:2], weight.shape[2])
    corner, weight = corner.flatten(0, 1), weight.expand(corner.shape).flatten(0, 1)
    for k, (lower, upper) in enumerate(zip(first.lower.tolist(), first.weight.tolist(), strict=True)):
        plane = planes[lower].flatten(0, 1)
        if upper > 0:
            plane = torch.lerp(plane, planes[lower + 1].flatten(0, 1), upper)
        flat = labels[k].view(-1)
        for start in range(0, len(corner), CHUNK_VOXELS):
            part = slice(start, start + CHUNK_VOXELS)
            sums = embedding_bag(corner[part], plane, mode="sum", per_sample_weights=weight[part])
            flat[part] = decide(sums, dim=1, dtype=labels.dtype)
