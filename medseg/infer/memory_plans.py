"""Plans to run a case, fastest first, and the memory each takes, known before it starts."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from monai.data import MetaTensor

from medseg.infer.blending import kept_planes
from medseg.infer.copies import fused, kept
from medseg.infer.device import dtype_of
from medseg.infer.inferers import SlidingWindowInferer
from medseg.infer.native import native_labels
from medseg.infer.network_memory import free_gpu_bytes, network_bytes
from medseg.infer.out_of_memory import is_out_of_memory
from medseg.system_memory import MARGIN, MIB, resident_bytes

PARTS = (2, 4, 8, 16, 32)  # into how many a volume is cut where its planes are too large
SCRATCH_BYTES = 16 * MIB  # what oneDNN takes to lay weights and windows out
HEAP_BYTES = 64 * MIB  # what glibc may keep of tensors below 32 MiB that are gone: its largest trim threshold
COMPONENTS_BYTES = 5  # of each native voxel at most: the number of its part, and the label map without small ones
TOO_MUCH = 2**62


@dataclass(frozen=True)
class Plan:
    """One plan to run a case: an inferer, where its sums are kept, and in how many parts the volume is run."""

    inferer: SlidingWindowInferer
    keep_on: torch.device
    parts: int = 1

    def __str__(self) -> str:
        at_once = self.inferer.windows_at_once(torch.device(self.inferer.sw_device or "cpu"))
        windows = f"{'adapted' if self.inferer.adapt else 'trained'} windows, {at_once} at once"
        return f"{self.inferer.sw_device}, sums on {self.keep_on}, {windows}, parts: {self.parts}"


def plans(inferer: SlidingWindowInferer, device: torch.device) -> Iterator[Plan]:
    """Yield the ways to run a case, each with less memory than the one before."""
    cpu, last = torch.device("cpu"), None
    steps = (
        [(device, device, 1)] if device.type == "cpu" else [(device, device, 1), (device, cpu, 1), (cpu, cpu, 1)]
    )
    for runs_on, keep_on, parts in [*steps, *((cpu, cpu, parts) for parts in PARTS)]:
        given = inferer.sw_batch_size
        for adapt, batch, in_pairs in ((inferer.adapt, given, True), (False, given, True), (False, 1, False)):
            setting = copy.copy(inferer)
            setting.sw_device, setting.adapt = runs_on, adapt
            setting.sw_batch_size, setting.in_pairs = batch, in_pairs and inferer.in_pairs
            plan = Plan(setting, keep_on, parts)
            if str(plan) != last and (parts == 1 or not in_pairs):
                yield plan
            last = str(plan)


def predict_bytes(image: MetaTensor, network: Any, plan: Plan) -> int | None:
    """Return how large this process will be at most when `image` is run in this way; None if that is unknown.

    That is its size now, with the network's copy that will run, and, of what comes, the label map and the larger
    of finding its components and of the sums with what works on them: the network, or going back to the native
    grid. A plan that a GPU's own memory does not hold needs `TOO_MUCH`.
    """
    if not isinstance(network, torch.nn.Module):
        return None
    inferer, shape = plan.inferer, [int(n) for n in image.shape[1:]]
    device = torch.device(inferer.sw_device or "cpu")
    windows = inferer.windows(shape, network)
    size, along = windows.size, windows.stops
    at_once = inferer.windows_at_once(device)
    window = (at_once, image.shape[0], *size[: len(inferer.roi_size)])
    needs, kind = kept(network).needs, (window, device, dtype_of(inferer.precision, device.type))
    if kind not in needs:
        needs[kind] = _network_bytes(network, *kind)
    found = needs[kind]
    if found is None:
        return TOO_MUCH if inferer.adapt else None
    running, output = found
    axis, classes = slab_axis(shape), output[1]
    plane = prod(n for a, n in enumerate(shape) if a != axis) / plan.parts
    ends = [*(stop.first for stop in along[axis][1:]), shape[axis]]
    depth = max(end - stop.first for stop, end in zip(along[axis], ends, strict=True))
    weights = windows.sigma_scale is not None  # are added up too
    sums = 4 * ((classes + weights) * plane * kept_planes(along[axis]) + weights * prod(size))
    native = native_labels(image, axis)
    voxels = prod(native.native_shape)
    turning = native.extra_bytes(classes, depth) / plan.parts
    labels = voxels * (1 if classes <= 256 else 2) * (1 + (plan.parts > 1) / plan.parts)
    if device.type == "cuda":
        on_gpu = image.nbytes + running + (sums + turning + labels if plan.keep_on == device else 0)
        if on_gpu > free_gpu_bytes(device) * (1 - MARGIN):
            return TOO_MUCH
    if plan.keep_on.type != "cpu":
        working = 0.0  # only labels come back
    elif device.type == "cpu":
        waiting = prod(output) * dtype_of(inferer.precision, "cpu").itemsize  # scores of the rest of a batch
        given = prod(window) * image.element_size()  # windows are copied, and then turned to the precision
        working = sums + max(given + running + min(running, HEAP_BYTES) + SCRATCH_BYTES, turning + waiting)
    else:
        working = sums + turning
    return int(resident_bytes() + labels + max(working, COMPONENTS_BYTES * voxels))


def _network_bytes(
    network: torch.nn.Module, window: Sequence[int], device: torch.device, dtype: torch.dtype
) -> tuple[int, tuple[int, ...]] | None:
    """Return what `network_bytes` says of the copy that will run, or of the network as given; None if none runs.

    A copy that is made now is in the process's size. A plan for another device is held against the network as
    given, as is a network without a copy: a graph may hold what was done for other sizes, and fails here too.
    """
    weights = next(network.parameters(), None)
    here = weights is not None and weights.device == device
    for in_parts in (False, True, None) if here else (None,):
        try:
            runs = network if in_parts is None else fused(network, device, dtype, in_parts=in_parts)
            return network_bytes(runs, window, dtype)
        except Exception as error:  # it takes no windows of that size, or needs tensors with values
            if is_out_of_memory(error):
                raise
    return None


def slab_axis(shape: Sequence[int]) -> int:
    """Return the longest axis: the planes across it, which have to be kept, are the smallest."""
    return max(range(3), key=lambda n: (shape[n], -n))
