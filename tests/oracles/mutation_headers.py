"""Mutations of what headers say of geometry and values, and headers that are broken."""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from oracles.mutation_drafts import (
    Drafts,
    Rng,
    normal,
    one_or_all,
    own,
    small_or_large,
    some,
    step,
    text,
)


def tilt(rng: Rng, drafts: Drafts) -> Drafts:
    shift = np.tan(np.radians(small_or_large(rng, 0.02, 20))) * np.linalg.norm(step(drafts))
    direction = slice(0, 3) if rng.integers(2) else slice(3, 6)
    for n, draft in enumerate(own(drafts)):
        sideways = draft.numbers("ImageOrientationPatient")[direction]
        draft.put("ImagePositionPatient", draft.numbers("ImagePositionPatient") + n * shift * sideways)
    return drafts


def jitter_one(rng: Rng, drafts: Drafts) -> Drafts:
    return _jitter(rng, [some(rng, drafts)], drafts)


def jitter_all(rng: Rng, drafts: Drafts) -> Drafts:
    return _jitter(rng, own(drafts), drafts)


def _jitter(rng: Rng, moved: Drafts, drafts: Drafts) -> Drafts:
    size_mm, along = small_or_large(rng, 0.001, 2), rng.integers(2)
    for draft in moved:
        off = normal(draft) * rng.uniform(-1, 1) if along else rng.uniform(-1, 1, 3)
        draft.put("ImagePositionPatient", draft.numbers("ImagePositionPatient") + size_mm * off)
    return drafts


def anisotropic(rng: Rng, drafts: Drafts) -> Drafts:
    spacing_mm = rng.permutation([rng.uniform(0.2, 0.6), rng.uniform(2, 5)])
    for draft in own(drafts):
        draft.put("PixelSpacing", spacing_mm)
    return drafts


def pixel_spacing_swapped(rng: Rng, drafts: Drafts) -> Drafts:
    for draft in one_or_all(rng, drafts):
        draft.put("PixelSpacing", draft.numbers("PixelSpacing")[::-1])
    return drafts


def decubitus(rng: Rng, drafts: Drafts) -> Drafts:
    """Turn the patient in the scanner: the whole series about an axis of the body."""
    turns = {"HFP": ("z", 180), "HFDR": ("z", 90), "HFDL": ("z", -90), "FFS": ("y", 180), "FFP": ("x", 180)}
    position = str(rng.choice(list(turns)))
    axis, degrees = turns[position]
    turn = Rotation.from_euler(axis, degrees, degrees=True)
    for draft in own(drafts):
        draft.header["PatientPosition"] = position
        cosines = turn.apply(draft.numbers("ImageOrientationPatient").reshape(2, 3))
        draft.put("ImageOrientationPatient", cosines.ravel())
        draft.put("ImagePositionPatient", turn.apply(draft.numbers("ImagePositionPatient")))
    return drafts


def orientation_not_unit(rng: Rng, drafts: Drafts) -> Drafts:
    factor = 1 + rng.choice([-1, 1]) * small_or_large(rng, 1e-5, 0.5)
    for draft in one_or_all(rng, drafts):
        draft.put("ImageOrientationPatient", draft.numbers("ImageOrientationPatient") * factor)
    return drafts


def orientation_skew(rng: Rng, drafts: Drafts) -> Drafts:
    amount = small_or_large(rng, 1e-5, 0.5)
    for draft in one_or_all(rng, drafts):
        cosines = draft.numbers("ImageOrientationPatient")
        cosines[3:] += amount * cosines[:3]
        draft.put("ImageOrientationPatient", cosines)
    return drafts


def orientation_one_slice(rng: Rng, drafts: Drafts) -> Drafts:
    draft = some(rng, drafts)
    axis = rng.normal(size=3)
    if rng.integers(2):  # about the image's diagonal: two of its corners stay where they are
        edges_mm = np.subtract(draft.stored.shape, 1)[::-1] * draft.numbers("PixelSpacing")[::-1]
        axis = edges_mm @ draft.numbers("ImageOrientationPatient").reshape(2, 3)
        axis = axis if axis.any() else np.ones(3)
    turn = Rotation.from_rotvec(axis / np.linalg.norm(axis) * small_or_large(rng, 1e-5, 1.5))
    draft.put(
        "ImageOrientationPatient", turn.apply(draft.numbers("ImageOrientationPatient").reshape(2, 3)).ravel()
    )
    return drafts


def spacing_one_slice(rng: Rng, drafts: Drafts) -> Drafts:
    draft = some(rng, drafts)
    draft.put("PixelSpacing", draft.numbers("PixelSpacing") + rng.permutation([small_or_large(rng, 1e-5, 1), 0]))
    return drafts


def size_one_slice(rng: Rng, drafts: Drafts) -> Drafts:
    draft = some(rng, drafts)
    draft.stored = draft.stored[:-1] if rng.integers(2) else draft.stored[:, 1:].copy()
    return drafts


def thickness(rng: Rng, drafts: Drafts) -> Drafts:
    for draft in one_or_all(rng, drafts):
        draft.header["SliceThickness"] = text(rng.uniform(0.1, 20))
        if rng.integers(2):
            draft.header["SpacingBetweenSlices"] = text(rng.uniform(-20, 20))
    return drafts


# Values


def slope_per_slice(rng: Rng, drafts: Drafts) -> Drafts:
    for draft in own(drafts):
        draft.header |= {
            "RescaleSlope": text(rng.uniform(0.01, 20)),
            "RescaleIntercept": text(rng.uniform(-99, 99)),
        }
    return drafts


def slope_zero(rng: Rng, drafts: Drafts) -> Drafts:
    for draft in one_or_all(rng, drafts):
        draft.header |= {"RescaleSlope": "0", "RescaleIntercept": "5"}
    return drafts


def monochrome1(rng: Rng, drafts: Drafts) -> Drafts:
    for draft in one_or_all(rng, drafts):
        draft.header["PhotometricInterpretation"] = "MONOCHROME1"
    return drafts


# Broken headers


def missing_tag(rng: Rng, drafts: Drafts) -> Drafts:
    tags = ["PixelSpacing", "ImageOrientationPatient", "ImagePositionPatient", "InstanceNumber", "SliceThickness"]
    tags += ["Modality", "SeriesInstanceUID", "FrameOfReferenceUID", "RescaleSlope", "ImageType", "SeriesNumber"]
    tag = str(rng.choice(tags))
    for draft in one_or_all(rng, drafts):
        draft.header.pop(tag, None)
    return drafts


def bad_text(rng: Rng, drafts: Drafts) -> Drafts:
    bad = str(rng.choice(["NaN", "inf", "-inf", "1e400", "abc", "", "1,5", "0x10", "--3"]))
    keyword = str(rng.choice(["ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"]))
    for draft in one_or_all(rng, drafts):
        if keyword in draft.header:
            parts = list(draft.header[keyword])
            parts[rng.integers(len(parts))] = bad
            draft.header[keyword] = parts if rng.integers(4) else parts[:-1]
    return drafts


ALL = (
    tilt,
    jitter_one,
    jitter_all,
    anisotropic,
    pixel_spacing_swapped,
    decubitus,
    orientation_not_unit,
    orientation_skew,
    orientation_one_slice,
    spacing_one_slice,
    size_one_slice,
    thickness,
    slope_per_slice,
    slope_zero,
    monochrome1,
    missing_tag,
    bad_text,
)
