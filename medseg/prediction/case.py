"""One case end to end: `read_case`, `preprocess`, `infer`, `postprocess`; each returns what the next one takes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from medseg.cases import Case
from medseg.prediction.inputs import InputState, read_unchanged
from medseg.prediction.record import Record, attempt, begun
from medseg.read import Selection, TrainingImages, Volume, compared, read_volume
from medseg.write import check_volume

if TYPE_CHECKING:  # processes that only read import no more than they need
    import torch
    from monai.inferers import Inferer
    from monai.transforms import Compose

    from medseg.infer import Segmentation


@dataclass(frozen=True)
class Pipeline:
    """A bundle's network with what goes before and after it.

    Attributes
    ----------
    preprocessing
        From ``image``, a `Volume`, to a tensor (channels, I, J, K) on the network's grid.
    network
        Gives scores, (B, labels, …) of (B, channels, …), or probabilities if it has ``gives_probabilities``.
    inferer
        Runs it over the image. One that gives slabs goes by `medseg.infer.label_image`; any other of MONAI's gives
        the whole tensor of scores.
    postprocessing
        From scores to a label map on the grid that the image was read with.
    training_images
        What the network was trained on; None where that is not known.
    """

    preprocessing: Compose
    network: torch.nn.Module
    inferer: Inferer
    postprocessing: Compose
    training_images: TrainingImages | None = None


@dataclass(frozen=True)
class Reading:
    """What is done with a case before the network; a process that reads is sent this.

    Attributes
    ----------
    selection
        Which volume is meant where the case's folder holds several, and what may be repaired in it.
    spatial_dims, formats
        Of the model, and of the results: a volume that they cannot have is refused right after it is read.
    preprocessing
        None where it cannot be sent to a process: it is done later, by the one that segments.
    training_images
        Of the pipeline.
    channels
        Of the model.
    """

    selection: Selection
    spatial_dims: int
    formats: Sequence[str]
    preprocessing: Compose | None
    training_images: TrainingImages | None = None
    channels: int = 1


@dataclass(frozen=True)
class Prepared:
    """A case that was read, and what preprocessing gave.

    Attributes
    ----------
    volume
        As it was read; in a batch its voxels are dropped (`without_voxels`).
    data
        ``image`` (channels, I, J, K) on the network's grid. None if that is still to be done.
    """

    volume: Volume
    data: Mapping[Any, Any] | None


@dataclass(frozen=True)
class Labelled:
    """A case's label map on its own grid.

    Attributes
    ----------
    labels
        (I, J, K), unsigned.
    codes
        What was tolerated while segmenting.
    facts
        For the record: ``memory`` and ``confidence``.
    probabilities
        Crops and their grid's affine, see `medseg.infer.confidence`; None if they were not asked for.
    """

    labels: np.ndarray
    codes: tuple[str, ...] = ()
    facts: Mapping[str, Any] | None = None
    probabilities: tuple[Mapping[int, Any], np.ndarray] | None = None


def read_and_preprocess(case: Case, reading: Reading) -> tuple[Record, Prepared | None]:
    """Return a case read and preprocessed with the record so far; None where that failed."""
    record, found = attempt(begun(case), "read", read_case, case, reading)
    if found is None:
        return record, None
    volume, state, unlike_training = found
    record = replace(record, input=state, facts={"unlike_training": unlike_training})
    if reading.preprocessing is None:
        return record, Prepared(volume, None)
    record, data = attempt(record, "preprocess", preprocess, volume, reading.preprocessing)
    return record, None if data is None else Prepared(without_voxels(volume), data)


def segment(
    record: Record, prepared: Prepared, *, pipeline: Pipeline, budget_mib: float, keep_probabilities: bool
) -> tuple[Record, Labelled | None]:
    """Return a prepared case's labels and the record so far; None where that failed."""
    data: Mapping[Any, Any] | None = prepared.data
    if data is None:  # by a process that could not be sent the preprocessing
        record, data = attempt(record, "preprocess", preprocess, prepared.volume, pipeline.preprocessing)
    if data is None:
        return record, None
    record, scored = attempt(record, "infer", infer, data, pipeline, budget_mib, keep_probabilities)
    if scored is None:
        return record, None
    return attempt(record, "postprocess", postprocess, scored, data, pipeline)


def read_case(case: Case, reading: Reading) -> tuple[Volume, InputState, list[dict[str, Any]] | None]:
    """Read a case's volume, refuse one that the model or a format cannot have, and compare it with the training's.

    Raises
    ------
    InputError
        `FILE_CHANGED`; as `medseg.read_volume` and `medseg.write.check_volume`.
    """
    from medseg.infer import retry_if_out_of_memory

    select = {**reading.selection.as_json(), "channels": reading.channels}
    read = partial(retry_if_out_of_memory, read_volume, case["image"], **select)
    volume, state = read_unchanged(case["image"], read)
    check_volume(volume, spatial_dims=reading.spatial_dims, formats=reading.formats)
    volume, unlike_training = compared(volume, reading.training_images)
    return volume, state, unlike_training


def preprocess(volume: Volume, preprocessing: Compose) -> Mapping[Any, Any]:
    """Return what `preprocessing` makes of a volume: ``image`` (channels, I, J, K) on the network's grid."""
    from medseg.infer import retry_if_out_of_memory
    from medseg.preprocess import IMAGE

    return retry_if_out_of_memory(preprocessing, {IMAGE: volume})


def infer(
    data: Mapping[Any, Any], pipeline: Pipeline, budget_mib: float = 0, keep_probabilities: bool = False
) -> Segmentation | torch.Tensor:
    """Return a preprocessed image's labels on its own grid, or the scores (labels, I, J, K) of another inferer."""
    import torch

    from medseg.infer import ToNativeLabelsd, label_image
    from medseg.preprocess import IMAGE

    device = next(pipeline.network.parameters()).device
    way_back = pipeline.postprocessing.transforms[0]
    if hasattr(pipeline.inferer, "slabs") and isinstance(way_back, ToNativeLabelsd):
        return label_image(
            data[IMAGE],
            pipeline.network,
            pipeline.inferer,
            device=device,
            budget_mib=budget_mib,
            keep_probabilities=keep_probabilities,
            region_ids=way_back.region_ids,
        )
    with torch.inference_mode():
        return pipeline.inferer(data[IMAGE][None].to(device), pipeline.network)[0].cpu()


def postprocess(scored: Segmentation | torch.Tensor, data: Mapping[Any, Any], pipeline: Pipeline) -> Labelled:
    """Return the label map that is written, and what the record says of it.

    Confidence and components are of the labels as the network gave them, before postprocessing changes them.
    """
    import torch

    from medseg.infer import (
        COMPONENTS,
        LargestComponentd,
        count_components,
        find_components,
        retry_if_out_of_memory,
    )
    from medseg.preprocess import IMAGE, PRED

    if isinstance(scored, torch.Tensor):
        return Labelled(pipeline.postprocessing({**data, PRED: scored})[PRED][0].numpy())
    confidence = scored.confidence.facts()
    components = retry_if_out_of_memory(find_components, scored.labels)
    unions = getattr(pipeline.postprocessing.transforms[0], "unions", {})
    counts = {i: count_components(scored.labels, ids) for i, ids in unions.items()} or components.counts()
    for label, of_label in confidence.items():
        of_label["components"] = counts.get(int(label), 0)
    changed: Any = {**data, PRED: torch.from_numpy(scored.labels)[None]}
    transforms = pipeline.postprocessing.transforms[1:]  # the first is done
    if transforms and isinstance(transforms[0], LargestComponentd):
        changed[COMPONENTS] = components
    del components
    for transform in transforms:
        changed = retry_if_out_of_memory(transform, changed)
    facts = {"memory": scored.memory.as_json(), "confidence": confidence}
    json.dumps(facts, allow_nan=False)  # what cannot be recorded fails its case alone
    crops = scored.confidence.crops
    return Labelled(
        changed[PRED][0].numpy(),
        ("MEMORY_FELL_BACK",) if scored.memory.ran_out else (),
        facts,
        (crops(), np.asarray(data[IMAGE].affine)) if scored.confidence.keep else None,
    )


def without_voxels(volume: Volume) -> Volume:
    """Return `volume` with zeros that take no memory: results need its shape, grid and source alone."""
    array = np.broadcast_to(volume.array.dtype.type(0), volume.array.shape)
    return replace(volume, array=array, further=(array,) * len(volume.further))


def segmenter(pipeline: Pipeline, budget_mib: float, keep_probabilities: bool) -> partial:
    """Return `segment` for one network."""
    return partial(segment, pipeline=pipeline, budget_mib=budget_mib, keep_probabilities=keep_probabilities)
