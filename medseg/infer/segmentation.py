"""A preprocessed image to labels on its own grid, in as much memory as there is."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor

from medseg.errors import InputError
from medseg.geometry import shifted
from medseg.infer.confidence import Confidence
from medseg.infer.copies import unchanged
from medseg.infer.device import fastest_convolutions, plain
from medseg.infer.inferers import SlidingWindowInferer
from medseg.infer.memory_plans import Plan, plans, predict_bytes, slab_axis
from medseg.infer.native import NativeLabels, coarse_axis, native_grid, native_labels
from medseg.infer.native_axes import SAME_PLACE_VOXELS
from medseg.infer.out_of_memory import give_back, is_out_of_memory
from medseg.system_memory import MIB, budget_bytes

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class MemoryUse:
    """What a case took, for its record.

    Attributes
    ----------
    budget_mib
        How large the process was allowed to grow.
    predicted_mib
        How large it was predicted to become; None where that is unknown.
    way
        The plan taken.
    ran_out
        How often memory ran out, each time with a larger plan.
    """

    budget_mib: int
    predicted_mib: int | None
    way: str
    ran_out: int

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Segmentation:
    """What the network gave for an image.

    Attributes
    ----------
    labels
        (I, J, K) on the grid the image was read with: uint8, or uint16 beyond 256 classes.
    confidence
        How sure the network was.
    memory
        What it took.
    """

    labels: np.ndarray
    confidence: Confidence
    memory: MemoryUse


def label_image(
    image: MetaTensor,
    network: Any,
    inferer: SlidingWindowInferer,
    *,
    device: str | torch.device = "cpu",
    budget_mib: float = 0,
    keep_probabilities: bool = False,
    region_ids: Sequence[int] | None = None,
) -> Segmentation:
    """Return labels on the grid that `image` was read with, how sure the network was, and what it took.

    The peak is predicted for each plan to run the case, fastest first, and the first that stays within the budget
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

    keep_probabilities
        Keep the probabilities themselves, see `Confidence.crops`.
    region_ids
        Of a network of overlapping regions, see `NativeLabels`.

    Raises
    ------
    InputError
        `MEMORY_TOO_SMALL`: not even the smallest plan fits.
    """
    run = partial(_run, image, network, keep_probabilities=keep_probabilities, region_ids=region_ids)
    with unchanged(network):
        return _label(image, network, plans(inferer, torch.device(device)), budget_bytes(budget_mib), run)


def _label(
    image: MetaTensor,
    network: Any,
    ways: Iterable[Plan],
    budget: int,
    run: Callable[[Plan], tuple[np.ndarray, Confidence]],
) -> Segmentation:
    ran_out = 0
    smallest: int | None = None
    for plan in ways:
        try:
            predicted = predict_bytes(image, network, plan)
            if predicted is not None and predicted > budget:
                smallest = min(predicted, smallest or predicted)
                continue
            with fastest_convolutions(torch.device(plan.inferer.sw_device or "cpu")):
                labels, confidence = run(plan)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            ran_out += 1
            log.warning("out of memory (%s); going on with less", plan)
            error.__traceback__ = None  # it holds on to what was allocated
            give_back()
            continue
        predicted_mib = None if predicted is None else predicted // MIB
        return Segmentation(labels, confidence, MemoryUse(budget // MIB, predicted_mib, str(plan), ran_out))
    needed = "" if smallest is None else f"needs about {smallest // MIB} MiB at least, "
    raise InputError(
        "MEMORY_TOO_SMALL",
        f"a volume of {'×'.join(map(str, image.shape[1:]))} voxels {needed}{budget // MIB} MiB are allowed or "
        "free; raise --budget-mib, or run it where there is more memory",
    )


def _run(
    image: MetaTensor, network: Any, plan: Plan, *, keep_probabilities: bool, region_ids: Sequence[int] | None
) -> tuple[np.ndarray, Confidence]:
    shape = image.shape[1:]
    axis = slab_axis(shape)
    probabilities = getattr(network, "gives_probabilities", False)
    confidence = Confidence(axis, probabilities=probabilities, keep=keep_probabilities, region_ids=region_ids)
    volume = plain(image).to(plan.inferer.sw_device)  # to a GPU once, not window by window
    walk = partial(plan.inferer.slabs, volume, network, axis=axis, keep_on=plan.keep_on)
    if plan.parts == 1:
        native = native_labels(image, axis, region_ids)
        for slab in walk():
            _take(slab, slab, confidence, native)
        return native.finish(), confidence
    across = max((n for n in range(3) if n != axis), key=lambda n: shape[n])
    labels: np.ndarray | None = None
    bounds = np.linspace(0, shape[across], min(plan.parts, shape[across]) + 1).astype(int).tolist()
    for low, high in pairwise(bounds):
        confidence.begin_part()
        native, place = _native_part(image, axis, across, (low, high), region_ids)
        begin = [low if n == across else 0 for n in range(3)]
        for slab in walk(part=(across, low, min(high + 1, shape[across]))):
            _take(slab, slab.narrow(1 + across, 0, high - low), confidence, native, begin)
        found = native.finish()
        if labels is None:
            labels = np.zeros(native_grid(image)[0], found.dtype, order="F")
        labels[place] = found
    assert labels is not None
    return labels, confidence


def _take(
    slab: torch.Tensor,
    own: torch.Tensor,
    confidence: Confidence,
    native: NativeLabels,
    begin: Sequence[int] = (0, 0, 0),
) -> None:
    """Give a slab to both, `confidence` what is its part's own, which begins at `begin`.

    On a CPU at the same time, for neither keeps two cores busy; but where probabilities are kept, which takes as
    much memory as `native` does.
    """
    if slab.device.type != "cpu" or confidence.keep:
        confidence.add(own, begin)
        native.add(slab)
        return
    with ThreadPoolExecutor(1) as beside:
        sure = beside.submit(confidence.add, own, begin)
        native.add(slab)
        sure.result()


def _native_part(
    image: MetaTensor, axis: int, across: int, planes: tuple[int, int], region_ids: Sequence[int] | None
) -> tuple[NativeLabels, tuple[slice, ...]]:
    """Return what labels the `planes`, from and to, of axis `across`, and the native voxels it fills.

    Each native voxel belongs to the part with the plane at or below it; those beyond the grid to the outer parts.
    """
    low, high = planes
    native_shape, native_affine = native_grid(image)
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
        native_affine=shifted(native_affine, first * np.eye(3)[native_axis]),
        grid_shape=grid_shape,
        grid_affine=shifted(grid_affine, low * np.eye(3)[across]),
        axis=axis,
        coarse_axis=coarse_axis(image),
        region_ids=region_ids,
    )
    return native, tuple(slice(first, end) if n == native_axis else slice(None) for n in range(3))
