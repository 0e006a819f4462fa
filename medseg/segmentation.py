"""A preprocessed image to labels on its own grid, in as much memory as there is."""

from __future__ import annotations

import copy
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from math import prod
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor

from medseg.confidence import Confidence
from medseg.engine import kept_planes
from medseg.errors import InputError
from medseg.infer import SlidingWindowInferer, dtype_of, plain
from medseg.memory import MIB, budget_bytes, give_back, is_out_of_memory, network_bytes, resident_bytes
from medseg.native import SAME_PLACE_VOXELS, NativeLabels

PARTS = (2, 4, 8, 16, 32)  # into how many a volume is cut where its planes are too large
SCRATCH_BYTES = 16 * MIB  # what oneDNN takes to lay weights and windows out
TOO_MUCH = 2**62
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Way:
    """One way to run a case: an inferer, where its sums are kept, and in how many parts the volume is run."""

    inferer: SlidingWindowInferer
    keep_on: torch.device
    parts: int = 1

    def __str__(self) -> str:
        windows = f"{'adapted' if self.inferer.adapt else 'trained'} windows, {self.inferer.sw_batch_size} at once"
        return f"{self.inferer.sw_device}, sums on {self.keep_on}, {windows}, parts: {self.parts}"


def label_image(
    image: MetaTensor,
    network: Any,
    inferer: SlidingWindowInferer,
    *,
    device: str | torch.device = "cpu",
    budget_mib: float = 0,
    keep_probabilities: bool = False,
) -> tuple[np.ndarray, Confidence, dict[str, Any]]:
    """Return labels (I, J, K) on the grid that `image` was read with, how sure the network was, and what it took.

    The peak is predicted for each way to run the case, fastest first, and the first that stays within the budget
    is taken. Where memory runs out all the same, the next smaller one is; other errors are raised.

    Parameters
    ----------
    image
        (channels, I, J, K), as `medseg.preprocess` leaves it, with both grids in its metadata.
    network, inferer
        See `medseg.infer`.
    device
        Where the network runs, as long as its memory lasts.
    budget_mib
        How large the process may grow; 0 for what is free, less a tenth.

    Returns
    -------
    labels
        uint8, or uint16 beyond 256 classes.
    confidence
        See `medseg.confidence`.
    facts
        ``memory``: budget and predicted peak in MiB, the way taken, and how often memory ran out; if it did,
        ``codes``.

    Raises
    ------
    InputError
        `MEMORY_TOO_SMALL`: not even the smallest way fits.
    """
    budget, ran_out = budget_bytes(budget_mib), 0
    smallest: int | None = None
    for way in ways(inferer, torch.device(device)):
        try:
            predicted = predict_bytes(image, network, way)
            if predicted is not None and predicted > budget:
                smallest = predicted
                continue
            labels, confidence = _run(image, network, way, keep_probabilities)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            ran_out += 1
            log.warning("out of memory (%s); going on with less", way)
            error.__traceback__ = None  # it holds on to what was allocated
            give_back()
            continue
        memory = {"budget_mib": budget // MIB, "predicted_mib": None if predicted is None else predicted // MIB}
        codes = {"codes": ["MEMORY_FELL_BACK"]} if ran_out else {}
        return labels, confidence, {"memory": {**memory, "way": str(way), "ran_out": ran_out}, **codes}
    needed = "" if smallest is None else f"needs about {smallest // MIB} MiB at least, "
    raise InputError(
        "MEMORY_TOO_SMALL",
        f"a volume of {'×'.join(map(str, image.shape[1:]))} voxels {needed}{budget // MIB} MiB are allowed or "
        "free; raise --budget-mib, or run it where there is more memory",
    )


def ways(inferer: SlidingWindowInferer, device: torch.device) -> Iterator[Way]:
    """Yield the ways to run a case, each with less memory than the one before."""
    cpu, last = torch.device("cpu"), None
    steps = (
        [(device, device, 1)] if device.type == "cpu" else [(device, device, 1), (device, cpu, 1), (cpu, cpu, 1)]
    )
    for runs_on, keep_on, parts in [*steps, *((cpu, cpu, parts) for parts in PARTS)]:
        for adapt, batch in ((inferer.adapt, inferer.sw_batch_size), (False, inferer.sw_batch_size), (False, 1)):
            setting = copy.copy(inferer)
            setting.sw_device, setting.adapt, setting.sw_batch_size = runs_on, adapt, batch
            way = Way(setting, keep_on, parts)
            if str(way) != last and (parts == 1 or (batch == 1 and not adapt)):
                yield way
            last = str(way)


def predict_bytes(image: MetaTensor, network: Any, way: Way) -> int | None:
    """Return how large this process will be at most when `image` is run in this way; None if that is unknown.

    That is its size now and, of what comes, the sums, the label map, and the larger of the network's tensors and
    those of going back to the native grid.
    """
    if not isinstance(network, torch.nn.Module):
        return None
    inferer, shape = way.inferer, [int(n) for n in image.shape[1:]]
    device = torch.device(inferer.sw_device or "cpu")
    size, along = inferer.plan(shape, network)
    window = (inferer.sw_batch_size, image.shape[0], *size[: len(inferer.roi_size)])
    try:
        running, output = network_bytes(network, window, dtype_of(inferer.precision, device.type))
    except Exception:  # it takes no windows of that size, or needs tensors with values
        return TOO_MUCH if inferer.adapt else None
    axis, classes = slab_axis(shape), output[1]
    plane = prod(n for a, n in enumerate(shape) if a != axis) / way.parts
    ends = [*(stop.first for stop in along[axis][1:]), shape[axis]]
    depth = max(end - stop.first for stop, end in zip(along[axis], ends, strict=True))
    kept = 4 * classes * plane * (kept_planes(along[axis]) if way.keep_on.type == "cpu" else depth)
    native = _native(image, axis)
    turning = native.extra_bytes(classes, depth) / way.parts
    working = max(running + SCRATCH_BYTES, turning) if device.type == "cpu" else turning
    labels = prod(native.native_shape) * (1 if classes <= 256 else 2) * (1 + (way.parts > 1) / way.parts)
    return int(resident_bytes() + kept + working + labels)


def slab_axis(shape: Sequence[int]) -> int:
    """Return the longest axis: the planes across it, which have to be kept, are the smallest."""
    return max(range(3), key=lambda n: (shape[n], -n))


def _run(image: MetaTensor, network: Any, way: Way, keep_probabilities: bool) -> tuple[np.ndarray, Confidence]:
    shape = image.shape[1:]
    axis = slab_axis(shape)
    probabilities = getattr(network, "gives_probabilities", False)
    confidence = Confidence(axis, probabilities=probabilities, keep=keep_probabilities)
    walk = partial(way.inferer.slabs, plain(image), network, axis=axis, keep_on=way.keep_on)
    if way.parts == 1:
        native = _native(image, axis)
        for slab in walk():
            confidence.add(slab)
            native.add(slab)
        return native.finish(), confidence
    across = max((n for n in range(3) if n != axis), key=lambda n: shape[n])
    labels: np.ndarray | None = None
    bounds = np.linspace(0, shape[across], min(way.parts, shape[across]) + 1).astype(int).tolist()
    for low, high in pairwise(bounds):
        confidence.begin_part()
        native, place = _native_part(image, axis, across, low, high)
        begin = [low if n == across else 0 for n in range(3)]
        for slab in walk(part=(across, low, min(high + 1, shape[across]))):
            confidence.add(slab.narrow(1 + across, 0, high - low), begin)
            native.add(slab)
        found = native.finish()
        if labels is None:
            labels = np.zeros(_native_grid(image)[0], found.dtype, order="F")
        labels[place] = found
    assert labels is not None
    return labels, confidence


def _native_grid(image: MetaTensor) -> tuple[list[int], np.ndarray]:
    return np.asarray(image.meta["spatial_shape"]).tolist(), np.asarray(image.meta["original_affine"], float)


def _native(image: MetaTensor, axis: int) -> NativeLabels:
    native_shape, native_affine = _native_grid(image)
    grid = {"grid_shape": image.shape[1:], "grid_affine": np.asarray(image.affine, float)}
    return NativeLabels(native_shape=native_shape, native_affine=native_affine, axis=axis, **grid)


def _native_part(
    image: MetaTensor, axis: int, across: int, low: int, high: int
) -> tuple[NativeLabels, tuple[slice, ...]]:
    """Return what labels the planes `low` to `high` of axis `across`, and the native voxels it fills.

    Each native voxel belongs to the part with the plane at or below it; those beyond the grid to the outer parts.
    """
    native_shape, native_affine = _native_grid(image)
    grid_shape, grid_affine = list(image.shape[1:]), np.asarray(image.affine, float)
    to_grid = np.linalg.inv(grid_affine) @ native_affine
    native_axis = int(np.abs(to_grid[across, :3]).argmax())
    position = to_grid[across, native_axis] * np.arange(native_shape[native_axis]) + to_grid[across, 3]
    last = high == grid_shape[across]
    inside = np.flatnonzero(
        ((position >= low - SAME_PLACE_VOXELS) | (low == 0)) & ((position < high - SAME_PLACE_VOXELS) | last)
    )
    first, end = (int(inside[0]), int(inside[-1]) + 1) if len(inside) else (0, 0)
    native_shape[native_axis], grid_shape[across] = end - first, min(high + 1, grid_shape[across]) - low
    native = NativeLabels(
        native_shape=native_shape,
        native_affine=native_affine @ _shift(native_axis, first),
        grid_shape=grid_shape,
        grid_affine=grid_affine @ _shift(across, low),
        axis=axis,
    )
    return native, tuple(slice(first, end) if n == native_axis else slice(None) for n in range(3))


def _shift(axis: int, voxels: int) -> np.ndarray:
    shift = np.eye(4)
    shift[axis, 3] = voxels
    return shift
