"""One case end to end: read and preprocessed, segmented."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from medseg.cases import Case
from medseg.read import Volume, read_volume

if TYPE_CHECKING:  # processes that only read import no more than they need
    import torch
    from monai.inferers import Inferer
    from monai.transforms import Compose


@dataclass
class Prepared:
    """A case that was read and preprocessed.

    Attributes
    ----------
    volume
        As it was read; in a batch its voxels are dropped (`without_voxels`).
    data
        What preprocessing gave: ``image`` (1, I, J, K) on the network's grid. None if that is still to be done.
    probabilities
        Crops and the affine of their grid, see `medseg.infer.confidence`; None if they were not asked for.
    """

    volume: Volume
    data: dict[Any, Any] | None
    probabilities: tuple[dict, np.ndarray] | None = None


def prepare(
    case: Case,
    *,
    preprocessing: Compose | None,
    check: Callable[[Volume], None] | None = None,
    select: Mapping[str, str] | None = None,
    timings_s: dict[str, float] | None = None,
) -> Prepared:
    """Read, check and preprocess a case; `check` may refuse its volume before anything slow is done with it."""
    from medseg.infer import retry_if_out_of_memory

    timings_s = {} if timings_s is None else timings_s
    with _timed(timings_s, "read"):
        volume = retry_if_out_of_memory(read_volume, case["image"], **(select or {}))
    if check is not None:
        check(volume)
    return Prepared(volume, None if preprocessing is None else preprocess(volume, preprocessing, timings_s))


def preprocess(
    volume: Volume, preprocessing: Compose, timings_s: dict[str, float] | None = None
) -> dict[Any, Any]:
    """Return what `preprocessing` makes of a volume: ``image`` (1, I, J, K) on the network's grid."""
    from medseg.infer import retry_if_out_of_memory
    from medseg.preprocess import IMAGE

    with _timed({} if timings_s is None else timings_s, "preprocess"):
        return retry_if_out_of_memory(preprocessing, {IMAGE: volume})


def segment(
    prepared: Prepared,
    *,
    network: torch.nn.Module,
    inferer: Inferer,
    postprocessing: Compose,
    budget_mib: float = 0,
    keep_probabilities: bool = False,
    timings_s: dict[str, float] | None = None,
) -> tuple[np.ndarray, dict[str, Any]]:
    """Return a prepared case's label map (I, J, K) on its own grid, and facts for its record.

    An inferer that gives slabs goes by `medseg.infer.segmentation.label_image`; any other of MONAI's, or a
    postprocessing of one's own, by the whole tensor of scores.
    """
    import torch

    from medseg.infer import ToNativeLabelsd, count_components, label_image, retry_if_out_of_memory
    from medseg.preprocess import IMAGE, PRED

    assert prepared.data is not None
    timings_s = {} if timings_s is None else timings_s
    data, device = prepared.data, next(network.parameters()).device
    first, *others = postprocessing.transforms
    if not hasattr(inferer, "slabs") or not isinstance(first, ToNativeLabelsd):
        with _timed(timings_s, "infer"), torch.inference_mode():
            data[PRED] = inferer(data[IMAGE][None].to(device), network)[0].cpu()
        with _timed(timings_s, "postprocess"):
            return postprocessing(data)[PRED][0].numpy(), {}
    with _timed(timings_s, "infer"):
        labels, confidence, facts = label_image(
            data[IMAGE],
            network,
            inferer,
            device=device,
            budget_mib=budget_mib,
            keep_probabilities=keep_probabilities,
        )
    with _timed(timings_s, "postprocess"):
        facts["confidence"] = confidence.facts()
        for label, count in retry_if_out_of_memory(count_components, labels).items():
            facts["confidence"].setdefault(str(label), {})["components"] = count
        if others:
            data[PRED] = torch.from_numpy(labels)[None]
            for transform in others:
                data = retry_if_out_of_memory(transform, data)
            labels = data[PRED][0].numpy()
    if keep_probabilities:
        prepared.probabilities = (confidence.crops(), np.asarray(data[IMAGE].affine))
    return labels, facts


def predict_case(
    case: Case,
    *,
    preprocessing: Compose,
    network: torch.nn.Module,
    inferer: Inferer,
    postprocessing: Compose,
    check: Callable[[Volume], None] | None = None,
    select: Mapping[str, str] | None = None,
    timings_s: dict[str, float] | None = None,
) -> tuple[np.ndarray, Volume]:
    """Return the label map (I, J, K), uint8, of one case on its own grid, and the volume it is of."""
    timings_s = {} if timings_s is None else timings_s
    prepared = prepare(case, preprocessing=preprocessing, check=check, select=select, timings_s=timings_s)
    how = {"network": network, "inferer": inferer, "postprocessing": postprocessing}
    labels, _ = segment(prepared, timings_s=timings_s, **how)
    return labels, prepared.volume


def without_voxels(volume: Volume) -> Volume:
    """Return `volume` with zeros that take no memory: results need its shape, grid and source alone."""
    return replace(volume, array=np.broadcast_to(volume.array.dtype.type(0), volume.array.shape))


@contextmanager
def _timed(timings_s: dict[str, float], stage: str) -> Iterator[None]:
    start = time.perf_counter()
    try:
        yield
    finally:
        timings_s[stage] = round(time.perf_counter() - start, 3)
