"""The mutations of `dicom_mutations`: each takes a series' slices before they are written, and changes them."""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
from scipy.spatial.transform import Rotation

from oracles.mutation_drafts import (
    Draft,
    Drafts,
    Rng,
    copies,
    normal,
    one_or_all,
    other_pixels,
    own,
    small_or_large,
    some,
    step,
    text,
    without,
)

KINDS: dict[str, Callable[[Rng, Drafts], Drafts]] = {}


def kind(function: Callable[[Rng, Drafts], Drafts]) -> Callable[[Rng, Drafts], Drafts]:
    KINDS[function.__name__] = function
    return function


# Slices that are not there


@kind
def drop_end(rng: Rng, drafts: Drafts) -> Drafts:
    slices, n = own(drafts), int(rng.integers(1, 3))
    return without(drafts, slices[:n] if rng.integers(2) else slices[-n:])


@kind
def drop_middle(rng: Rng, drafts: Drafts) -> Drafts:
    slices = own(drafts)
    return without(drafts, [slices[rng.integers(1, max(2, len(slices) - 1)) % len(slices)]])


@kind
def drop_several(rng: Rng, drafts: Drafts) -> Drafts:
    return without(drafts, [draft for draft in own(drafts) if rng.random() < 0.3])


@kind
def drop_every_other(rng: Rng, drafts: Drafts) -> Drafts:
    return without(drafts, own(drafts)[int(rng.integers(2)) :: 2])


@kind
def single_slice(rng: Rng, drafts: Drafts) -> Drafts:
    kept = some(rng, drafts)
    return without(drafts, [draft for draft in own(drafts) if draft is not kept])


# Slices that are there twice


@kind
def duplicate_identical(rng: Rng, drafts: Drafts) -> Drafts:
    twins = [copy.deepcopy(draft) for draft in own(drafts) if rng.random() < 0.3] or [copy.deepcopy(drafts[0])]
    renamed = rng.integers(2)
    for n, twin in enumerate(twins):
        twin.name = f"A{twin.name.replace('/', '_')}_copy{n}" if rng.integers(2) else f"{twin.name}_copy{n}"
        if renamed:
            twin.header["SOPInstanceUID"] += f".{rng.integers(10**6)}"
    return drafts + twins


@kind
def duplicate_other_pixels(rng: Rng, drafts: Drafts) -> Drafts:
    twin = copy.deepcopy(some(rng, drafts))
    twin.stored, twin.volume = other_pixels(rng, twin), "twin"
    twin.name = f"{rng.choice(['A', 'Z'])}{rng.integers(10**6)}"
    twin.header["SOPInstanceUID"] += ".7"
    return [*drafts, twin]


@kind
def duplicate_other_tag(rng: Rng, drafts: Drafts) -> Drafts:
    twin = copy.deepcopy(some(rng, drafts))
    if rng.random() < 0.7:
        twin.stored, twin.volume = other_pixels(rng, twin), "twin"
    tags = ("EchoTime", "InstanceNumber", "AcquisitionNumber", "TemporalPositionIdentifier", "AcquisitionTime")
    tag = str(rng.choice([*tags, "SeriesNumber", "TriggerTime", "ConvolutionKernel", "RescaleIntercept"]))
    twin.header[tag] = "230000" if tag == "AcquisitionTime" else "77"
    twin.header["SOPInstanceUID"] += ".8"
    twin.name = f"{rng.choice(['A', 'Z'])}{rng.integers(10**6)}"
    return [*drafts, twin]


@kind
def multi_echo(rng: Rng, drafts: Drafts) -> Drafts:
    for draft in own(drafts):
        draft.header |= {"EchoTime": "10", "EchoNumbers": "1"}
    return drafts + copies(rng, drafts, "echo", EchoTime="90", EchoNumbers="2")


@kind
def multi_time(rng: Rng, drafts: Drafts) -> Drafts:
    tags = ("TemporalPositionIdentifier", "AcquisitionNumber", "AcquisitionTime", "TriggerTime", "DiffusionBValue")
    tag = str(rng.choice(tags))
    values = ["090000", "100000", "110000"] if tag == "AcquisitionTime" else ["1", "2", "3"]
    typed = [float(v) for v in values] if tag == "DiffusionBValue" else values
    later = [d for n in (1, 2)[: rng.integers(1, 3)] for d in copies(rng, drafts, f"time{n}", **{tag: typed[n]})]
    for draft in own(drafts):
        draft.header[tag] = typed[0]
    return drafts + later


@kind
def multi_untold(rng: Rng, drafts: Drafts) -> Drafts:
    return drafts + copies(rng, drafts, "untold")


# Names and numbers


@kind
def file_names(rng: Rng, drafts: Drafts) -> Drafts:
    for draft, n in zip(drafts, rng.permutation(len(drafts)), strict=True):
        draft.name = f"{rng.choice(['', 'x', 'IM'])}{n}{rng.choice(['', '.dcm', '.IMA'])}"
    return drafts


@kind
def instance_numbers(rng: Rng, drafts: Drafts) -> Drafts:
    how = rng.integers(3)
    for draft, n in zip(drafts, rng.permutation(len(drafts)), strict=True):
        draft.header["InstanceNumber"] = str(n if how == 0 else 1)
        if how == 2:
            del draft.header["InstanceNumber"]
    return drafts


@kind
def nested_folders(rng: Rng, drafts: Drafts) -> Drafts:
    for n, draft in enumerate(drafts):
        draft.name = f"d{rng.integers(3)}/{'e/' if rng.integers(2) else ''}{n}_{draft.name.replace('/', '_')}"
    return drafts


# Geometry


@kind
def tilt(rng: Rng, drafts: Drafts) -> Drafts:
    shift = np.tan(np.radians(small_or_large(rng, 0.02, 20))) * np.linalg.norm(step(drafts))
    direction = slice(0, 3) if rng.integers(2) else slice(3, 6)
    for n, draft in enumerate(own(drafts)):
        sideways = draft.numbers("ImageOrientationPatient")[direction]
        draft.put("ImagePositionPatient", draft.numbers("ImagePositionPatient") + n * shift * sideways)
    return drafts


@kind
def jitter_one(rng: Rng, drafts: Drafts) -> Drafts:
    return _jitter(rng, [some(rng, drafts)], drafts)


@kind
def jitter_all(rng: Rng, drafts: Drafts) -> Drafts:
    return _jitter(rng, own(drafts), drafts)


def _jitter(rng: Rng, moved: Drafts, drafts: Drafts) -> Drafts:
    size_mm, along = small_or_large(rng, 0.001, 2), rng.integers(2)
    for draft in moved:
        off = normal(draft) * rng.uniform(-1, 1) if along else rng.uniform(-1, 1, 3)
        draft.put("ImagePositionPatient", draft.numbers("ImagePositionPatient") + size_mm * off)
    return drafts


@kind
def anisotropic(rng: Rng, drafts: Drafts) -> Drafts:
    spacing_mm = rng.permutation([rng.uniform(0.2, 0.6), rng.uniform(2, 5)])
    for draft in own(drafts):
        draft.put("PixelSpacing", spacing_mm)
    return drafts


@kind
def pixel_spacing_swapped(rng: Rng, drafts: Drafts) -> Drafts:
    for draft in one_or_all(rng, drafts):
        draft.put("PixelSpacing", draft.numbers("PixelSpacing")[::-1])
    return drafts


@kind
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


@kind
def orientation_not_unit(rng: Rng, drafts: Drafts) -> Drafts:
    factor = 1 + rng.choice([-1, 1]) * small_or_large(rng, 1e-5, 0.5)
    for draft in one_or_all(rng, drafts):
        draft.put("ImageOrientationPatient", draft.numbers("ImageOrientationPatient") * factor)
    return drafts


@kind
def orientation_skew(rng: Rng, drafts: Drafts) -> Drafts:
    amount = small_or_large(rng, 1e-5, 0.5)
    for draft in one_or_all(rng, drafts):
        cosines = draft.numbers("ImageOrientationPatient")
        cosines[3:] += amount * cosines[:3]
        draft.put("ImageOrientationPatient", cosines)
    return drafts


@kind
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


@kind
def spacing_one_slice(rng: Rng, drafts: Drafts) -> Drafts:
    draft = some(rng, drafts)
    draft.put("PixelSpacing", draft.numbers("PixelSpacing") + rng.permutation([small_or_large(rng, 1e-5, 1), 0]))
    return drafts


@kind
def size_one_slice(rng: Rng, drafts: Drafts) -> Drafts:
    draft = some(rng, drafts)
    draft.stored = draft.stored[:-1] if rng.integers(2) else draft.stored[:, 1:].copy()
    return drafts


@kind
def thickness(rng: Rng, drafts: Drafts) -> Drafts:
    for draft in one_or_all(rng, drafts):
        draft.header["SliceThickness"] = text(rng.uniform(0.1, 20))
        if rng.integers(2):
            draft.header["SpacingBetweenSlices"] = text(rng.uniform(-20, 20))
    return drafts


# Values


@kind
def slope_per_slice(rng: Rng, drafts: Drafts) -> Drafts:
    for draft in own(drafts):
        draft.header |= {
            "RescaleSlope": text(rng.uniform(0.01, 20)),
            "RescaleIntercept": text(rng.uniform(-99, 99)),
        }
    return drafts


@kind
def slope_zero(rng: Rng, drafts: Drafts) -> Drafts:
    for draft in one_or_all(rng, drafts):
        draft.header |= {"RescaleSlope": "0", "RescaleIntercept": "5"}
    return drafts


@kind
def monochrome1(rng: Rng, drafts: Drafts) -> Drafts:
    for draft in one_or_all(rng, drafts):
        draft.header["PhotometricInterpretation"] = "MONOCHROME1"
    return drafts


# Broken headers


@kind
def missing_tag(rng: Rng, drafts: Drafts) -> Drafts:
    tags = ["PixelSpacing", "ImageOrientationPatient", "ImagePositionPatient", "InstanceNumber", "SliceThickness"]
    tags += ["Modality", "SeriesInstanceUID", "FrameOfReferenceUID", "RescaleSlope", "ImageType", "SeriesNumber"]
    tag = str(rng.choice(tags))
    for draft in one_or_all(rng, drafts):
        draft.header.pop(tag, None)
    return drafts


@kind
def bad_text(rng: Rng, drafts: Drafts) -> Drafts:
    bad = str(rng.choice(["NaN", "inf", "-inf", "1e400", "abc", "", "1,5", "0x10", "--3"]))
    keyword = str(rng.choice(["ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"]))
    for draft in one_or_all(rng, drafts):
        if keyword in draft.header:
            parts = list(draft.header[keyword])
            parts[rng.integers(len(parts))] = bad
            draft.header[keyword] = parts if rng.integers(4) else parts[:-1]
    return drafts


# Other images in the folder


def _scout(rng: Rng, drafts: Drafts) -> Draft:
    """Return an image in the middle, across the slices, of their size or another."""
    like = some(rng, drafts)
    scout = copy.deepcopy(like)
    turn = Rotation.from_rotvec(like.numbers("ImageOrientationPatient")[:3] * np.pi / 2)
    cosines = turn.apply(like.numbers("ImageOrientationPatient").reshape(2, 3))
    scout.put("ImageOrientationPatient", cosines.ravel())
    scout.volume, scout.name = "scout", f"{rng.choice(['A', 'Z'])}{rng.integers(10**6)}"
    scout.stored = other_pixels(rng, like)
    if rng.integers(2):
        scout.stored = np.tile(scout.stored, (2, 1))
    scout.header["SOPInstanceUID"] += ".99"
    return scout


@kind
def scout_marked(rng: Rng, drafts: Drafts) -> Drafts:
    scout = _scout(rng, drafts)
    scout.header["ImageType"] = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    return [*drafts, scout]


@kind
def scout_unmarked(rng: Rng, drafts: Drafts) -> Drafts:
    return [*drafts, _scout(rng, drafts)]


@kind
def merge_other_uid(rng: Rng, drafts: Drafts) -> Drafts:
    other = copies(rng, drafts, "b", SeriesInstanceUID=f"1.9.{rng.integers(10**9)}", SeriesNumber="4")
    shift = rng.uniform(-1, 1) * step(drafts) if rng.integers(2) else 0
    for draft in other:
        draft.put("ImagePositionPatient", draft.numbers("ImagePositionPatient") + shift)
    return drafts + other


@kind
def merge_same_uid(rng: Rng, drafts: Drafts) -> Drafts:
    """Add a second volume under the same UID, of another orientation, size or pixel spacing."""
    other = copies(rng, drafts, "b")
    how = rng.choice(["orientation", "size", "spacing"])
    turn = Rotation.from_rotvec(other[0].numbers("ImageOrientationPatient")[3:] * rng.choice([np.pi / 2, 0.2]))
    for draft in other:
        if how == "orientation":
            cosines = turn.apply(draft.numbers("ImageOrientationPatient").reshape(2, 3))
            draft.put("ImageOrientationPatient", cosines.ravel())
            draft.put("ImagePositionPatient", turn.apply(draft.numbers("ImagePositionPatient")))
        elif how == "size":
            draft.stored = draft.stored[:-2].copy()
        else:
            draft.put("PixelSpacing", draft.numbers("PixelSpacing") * 1.5)
    return drafts + other


@kind
def interleave_told(rng: Rng, drafts: Drafts) -> Drafts:
    """Add a second volume between the slices, told apart by one element of the header."""
    tag = str(
        rng.choice(["SeriesNumber", "ConvolutionKernel", "FrameOfReferenceUID", "EchoTime", "StudyInstanceUID"])
    )
    other = copies(rng, drafts, "b", **{tag: "1.2.99" if tag.endswith("UID") else "9"})
    return drafts + _between(drafts, other)


@kind
def interleave_untold(rng: Rng, drafts: Drafts) -> Drafts:
    """Add slices between the slices, as one scan in two passes has them: one volume for all the headers say."""
    tag = str(rng.choice(["AcquisitionTime", "SOPInstanceUID"]))
    other = copies(rng, drafts, "a", **({tag: "235900"} if tag == "AcquisitionTime" else {}))
    return drafts + _between(drafts, other)


def _between(drafts: Drafts, other: Drafts) -> Drafts:
    half = step(drafts) / 2
    for draft in other:
        draft.put("ImagePositionPatient", draft.numbers("ImagePositionPatient") + half)
    return other
