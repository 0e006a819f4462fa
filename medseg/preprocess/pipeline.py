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

from medseg.preprocess.intensity import of_channels
from medseg.preprocess.keys import IMAGE, LABEL
from medseg.preprocess.resample import Resampled
from medseg.read import LoadStudyd

LABEL_MODES = {"linear": "nearest", "cubic": "share"}  # how labels are resampled, by how images are


def preprocessing(
    *,
    intensity: Mapping[str, Any] | Sequence[Mapping[str, Any]],
    orientation: str = "RAS",
    spacing_mm: Sequence[float] | None = None,
    interpolation: str = "linear",
    coarse_axis: int | None = None,
    crop_above: float | None = None,
    patch_size: Sequence[int] = (),
    labelled: bool = False,
    channels: int = 1,
) -> Compose:
    """Return the transforms from a case's paths to float32 tensors (channels, I, J, K).

    Parameters
    ----------
    intensity
        See `normalization`; one for all channels, each by itself, or a list of one a channel.
    orientation
        Axis codes the volume is turned to, without resampling.
    spacing_mm
        Grid to resample to; None keeps each image's own. An axis whose spacing should stay is given as -1.
    interpolation
        How: ``"linear"``, and labels by nearest neighbour; or ``"cubic"``, smoothed where voxels grow, and labels
        by their share of the new voxel (`medseg.preprocess.resample.resample_labels`).
    coarse_axis
        An axis, after `orientation`, across which images, labels and, on the way back, scores are looked up by
        nearest neighbour, since its planes lie far apart.
    crop_above
        Crop to the box of voxels brighter than this in any channel, in the image's own units (air is -1000 HU).
    patch_size
        Pad at least to the network's patch, (I, J, K) or (I, J), with 0: the mean after normalization.
    labelled
        Do the same to ``label``.
    channels
        Of the image; one with another number is refused, `CHANNELS_MISMATCH`.
    """
    keys = [IMAGE, LABEL] if labelled else [IMAGE]
    modes = [interpolation, LABEL_MODES.get(interpolation, "nearest")]
    steps: list[MapTransform] = [
        LoadStudyd(IMAGE, dtype=None, channels=channels),  # converted where it is resampled, block by block
        *([LoadStudyd(LABEL, dtype=None)] if labelled else []),
        Resampled(keys, spacing_mm, modes[: len(keys)], orientation, coarse_axis),
    ]
    if crop_above is not None:
        brighter = partial(operator.lt, crop_above)  # unlike a lambda it can be sent to a process that reads
        steps.append(CropForegroundd(keys, IMAGE, select_fn=brighter, allow_smaller=True))
    steps += of_channels(intensity, channels)
    if patch_size:
        steps.append(SpatialPadd(keys, spatial_size=(*patch_size, 1)[:3]))
    steps.append(EnsureTyped(keys))
    return Compose(steps)
