"""The one definition of preprocessing, built from plain numbers that stand in a bundle's metadata.

Training is `preprocessing` followed by `medseg.training.augmentation`; inference is `preprocessing` alone, undone
by `medseg.infer.to_native_labels`.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from monai.transforms import (
    Compose,
    CropForegroundd,
    EnsureTyped,
    MapTransform,
    SpatialPadd,
)

from medseg.preprocess.intensity import normalization
from medseg.preprocess.keys import IMAGE, LABEL
from medseg.preprocess.resample import Resampled
from medseg.read import LoadStudyd


def preprocessing(
    *,
    intensity: Mapping[str, Any],
    orientation: str = "RAS",
    spacing_mm: Sequence[float] | None = None,
    crop_above: float | None = None,
    patch_size: Sequence[int] = (),
    labelled: bool = False,
) -> Compose:
    """Return the transforms from a case's paths to float32 tensors (1, I, J, K).

    Parameters
    ----------
    intensity
        See `normalization`.
    orientation
        Axis codes the volume is turned to, without resampling.
    spacing_mm
        Grid to resample to, linearly (labels: nearest); None keeps each image's own. An axis whose
        spacing should stay is given as -1.
    crop_above
        Crop to the box of voxels brighter than this, in the image's own units (air is -1000 HU).
    patch_size
        Pad at least to the network's patch, (I, J, K) or (I, J), with 0: the mean after normalization.
    labelled
        Do the same to ``label``.
    """
    keys = [IMAGE, LABEL] if labelled else [IMAGE]
    steps: list[MapTransform] = [
        LoadStudyd(keys, dtype=None),  # converted where it is resampled, block by block
        Resampled(keys, spacing_mm, ["linear", "nearest"][: len(keys)], orientation),
    ]
    if crop_above is not None:
        brighter = partial(operator.lt, crop_above)  # unlike a lambda it can be sent to a process that reads
        steps.append(CropForegroundd(keys, IMAGE, select_fn=brighter, allow_smaller=True))
    steps += normalization(**intensity)
    if patch_size:
        steps.append(SpatialPadd(keys, spatial_size=(*patch_size, 1)[:3]))
    steps.append(EnsureTyped(keys))
    return Compose(steps)
