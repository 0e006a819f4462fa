"""Mutations that put other images into a series' folder."""

from __future__ import annotations

import copy

import numpy as np
from scipy.spatial.transform import Rotation

from oracles.mutation_drafts import (
    Draft,
    Drafts,
    Rng,
    copies,
    other_pixels,
    some,
    step,
)


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


def scout_marked(rng: Rng, drafts: Drafts) -> Drafts:
    scout = _scout(rng, drafts)
    scout.header["ImageType"] = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    return [*drafts, scout]


def scout_unmarked(rng: Rng, drafts: Drafts) -> Drafts:
    return [*drafts, _scout(rng, drafts)]


def merge_other_uid(rng: Rng, drafts: Drafts) -> Drafts:
    other = copies(rng, drafts, "b", SeriesInstanceUID=f"1.9.{rng.integers(10**9)}", SeriesNumber="4")
    shift = rng.uniform(-1, 1) * step(drafts) if rng.integers(2) else 0
    for draft in other:
        draft.put("ImagePositionPatient", draft.numbers("ImagePositionPatient") + shift)
    return drafts + other


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


def interleave_told(rng: Rng, drafts: Drafts) -> Drafts:
    """Add a second volume between the slices, told apart by one element of the header."""
    tag = str(
        rng.choice(["SeriesNumber", "ConvolutionKernel", "FrameOfReferenceUID", "EchoTime", "StudyInstanceUID"])
    )
    other = copies(rng, drafts, "b", **{tag: "1.2.99" if tag.endswith("UID") else "9"})
    return drafts + _between(drafts, other)


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


ALL = (
    scout_marked,
    scout_unmarked,
    merge_other_uid,
    merge_same_uid,
    interleave_told,
    interleave_untold,
)
