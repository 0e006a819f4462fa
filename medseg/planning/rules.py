"""The rules of preprocessing: from a fingerprint to a grid and to intensities, each choice with its reason.

After nnU-Net (Isensee et al., Nature Methods 2021, doi:10.1038/s41592-020-01008-z), unless a reason says other.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from medseg.errors import InputError
from medseg.planning.case_facts import AIR_HU
from medseg.planning.choices import Choices
from medseg.planning.fingerprint import Fingerprint

COARSE = 3.0  # an axis this many times coarser than the finest one is treated apart
FEW_SLICES = 16  # too few for a volume that is halved along them
CROPPED_SHARE = 0.75  # less of the image is left by cropping: then it is cropped
THIRD_AXIS = {0: "ASR", 1: "RSA", 2: "RAS"}  # axis codes that bring an axis of RAS to the third place
PERCENTILES = (0.5, 99.5)


def choose_grid(data: Fingerprint, chosen: Choices) -> dict[str, Any]:
    """Choose dimensions, orientation, spacing and cropping; return them as `preprocessing` takes them."""
    median_mm, shape = data.median_spacing_mm, np.median(data.shapes, axis=0)
    coarse = int(np.argmax(median_mm))
    dims = chosen.take("dims", *_dims(data, int(shape[coarse]), int(shape.min())))
    if dims not in (2, 3):
        raise InputError("CONFIG_BAD_VALUE", f"dims={dims!r}: 2 (slice by slice) or 3 is needed")
    flat = int(np.argmin(shape)) if shape.min() == 1 else coarse if data.anisotropy >= COARSE else 2
    turned = THIRD_AXIS[flat] if dims == 2 else "RAS"
    reason = "RAS, NIfTI's own axes" if turned == "RAS" else "the slices lie across the third axis of these"
    orientation = chosen.take("orientation", turned, reason)
    spacing_mm, reason = _spacing(data, coarse)
    if dims == 2:
        spacing_mm = [-1.0 if axis == flat else mm for axis, mm in enumerate(spacing_mm)]
        reason += "; across the slices each image keeps its own"
    spacing_mm = chosen.take("spacing_mm", [spacing_mm[axis] for axis in axes_of(orientation)], reason)
    if len(spacing_mm) != 3 or not all(mm > 0 or mm == -1 for mm in spacing_mm):
        text = f"spacing_mm={spacing_mm!r}: three numbers above 0 are needed, -1 for an axis that keeps its own"
        raise InputError("CONFIG_BAD_VALUE", text)
    grid = {"orientation": orientation, "spacing_mm": spacing_mm}
    grid["interpolation"] = chosen.take("interpolation", "cubic", "as nnU-Net; sharper than linear")
    coarse_axis = chosen.take("coarse_axis", *_coarse_axis(data, orientation, dims))
    if coarse_axis is not None:
        grid["coarse_axis"] = coarse_axis
    crop_above = chosen.take("crop_above", *_crop(data))
    return grid if crop_above is None else {**grid, "crop_above": crop_above}


def axes_of(orientation: str) -> list[int]:
    """Return the axis of RAS that each axis of an orientation runs along.

    Raises
    ------
    InputError
        `CONFIG_BAD_VALUE`: no three axis codes.
    """
    along = [next((n for n, pair in enumerate(("RL", "AP", "SI")) if code in pair), -1) for code in orientation]
    if sorted(along) != [0, 1, 2]:
        raise InputError(
            "CONFIG_BAD_VALUE", f"orientation={orientation!r}: three axis codes such as RAS are needed"
        )
    return along


def median_shape(data: Fingerprint, preprocessing: dict[str, Any]) -> np.ndarray:
    """Return the median shape of the cases on the network's grid, along its axes."""
    axes = axes_of(preprocessing["orientation"])
    wanted = np.array(preprocessing["spacing_mm"], dtype=float)
    kept = data.median_spacing_mm[axes]
    by_ras = np.empty(3)
    by_ras[axes] = np.where(wanted > 0, wanted, kept)
    return data.median_shape(by_ras, "crop_above" in preprocessing)[axes]


def grid_spacing_mm(data: Fingerprint, preprocessing: dict[str, Any]) -> np.ndarray:
    """Return the spacing of the network's grid; of an axis that keeps its own, the median."""
    wanted = np.array(preprocessing["spacing_mm"], dtype=float)
    return np.where(wanted > 0, wanted, data.median_spacing_mm[axes_of(preprocessing["orientation"])])


def _dims(data: Fingerprint, slices: int, shortest: int) -> tuple[int, str]:
    if shortest == 1:
        return 2, "the images are single slices"
    if data.anisotropy >= COARSE and slices < FEW_SLICES:
        return 2, (
            f"voxels lie {data.anisotropy:.1f} times wider apart across {slices} slices than in them: little of a "
            "neighbouring slice is the same anatomy (medseg's rule; nnU-Net trains both and lets folds decide)"
        )
    return 3, "volumes, with neighbours along all axes"


def _spacing(data: Fingerprint, coarse: int) -> tuple[list[float], str]:
    median_mm, shape = data.median_spacing_mm, np.median(data.shapes, axis=0)
    wanted, reason = median_mm.copy(), "the median of the images, per axis"
    others = [axis for axis in range(3) if axis != coarse]
    strong = median_mm[coarse] > COARSE * median_mm[others].max()
    if strong and shape[coarse] * COARSE < shape[others].min():
        tenth = float(np.percentile(data.spacing_mm[:, coarse], 10))
        wanted[coarse] = max(tenth, median_mm[others].max())
        reason += (
            f"; axis {coarse} is over {COARSE:g} times coarser and has under a third of the voxels, so it has the "
            "10th percentile"
        )
    return [float(f"{mm:.6g}") for mm in wanted], reason


def _coarse_axis(data: Fingerprint, orientation: str, dims: int) -> tuple[int | None, str]:
    if dims == 2:
        return None, "none: nothing is resampled across slices"
    if data.anisotropy <= COARSE:
        return None, f"none: voxels lie {data.anisotropy:.1f} times wider apart along their coarsest axis"
    axis = axes_of(orientation).index(int(np.argmax(data.median_spacing_mm)))
    return axis, f"voxels lie {data.anisotropy:.1f} times wider apart along it: looked up, not blended"


def _crop(data: Fingerprint) -> tuple[float | None, str]:
    left = float(np.median(data.cropped.prod(axis=1) / data.shapes.prod(axis=1)))
    above = AIR_HU if data.modalities[0] == "CT" else 0.0
    if len(set(data.modalities)) > 1:
        return None, "not cropped: no number tells background from body in all channels"
    if data.crop_cuts_labels:
        return None, f"not cropped: labelled voxels lie outside of the box above {above:g}"
    if left >= CROPPED_SHARE:
        return None, f"not cropped: the box above {above:g} is {left:.0%} of the image"
    return above, f"cropped to the box above {above:g}, which is {left:.0%} of the image in the median"


def choose_intensity(data: Fingerprint, chosen: Choices) -> dict[str, Any] | list[dict[str, Any]]:
    """Choose how intensities are normalised; return what `medseg.preprocess` takes, of several channels a list."""
    modality = chosen.take("modality", data.modalities[0], "as the data set, DICOM or the intensities say")
    if modality not in ("CT", "MR"):
        raise InputError("CONFIG_BAD_VALUE", f"modality={modality!r}: 'CT' (Hounsfield units) or 'MR' is needed")
    modalities = [modality, *data.modalities[1:]]
    kinds = [_ct(data, n, chosen) if each == "CT" else _mr(chosen) for n, each in enumerate(modalities)]
    return kinds[0] if len(kinds) == 1 else kinds


def _mr(chosen: Choices) -> dict[str, Any]:
    reason = "MR has no units: clipped to percentiles of each image, then its mean and standard deviation"
    return {"kind": "mr", "percentiles": list(chosen.take("percentiles", list(PERCENTILES), reason))}


def _ct(data: Fingerprint, channel: int, chosen: Choices) -> dict[str, Any]:
    facts = data.channels[channel]
    reason = "0.5 and 99.5 percentile of the labelled voxels"
    window = [round(facts.low, 1), round(max(facts.high, facts.low + 1), 1)]
    window = list(chosen.take("window_hu", window, reason))
    if len(window) != 2 or window[0] >= window[1]:
        raise InputError("CONFIG_BAD_VALUE", f"window_hu={window!r}: a low and a higher end are needed, in HU")
    mean, sd = facts.clipped(data.samples[channel], window)
    reason = "of the labelled voxels, clipped to the window"
    mean_hu = chosen.take("mean_hu", round(mean, 1), f"mean {reason}")
    sd_hu = chosen.take("sd_hu", max(round(sd, 1), 1.0), f"standard deviation {reason}")
    return {"kind": "ct", "window_hu": window, "mean_hu": mean_hu, "sd_hu": sd_hu}
