"""A header to its slices: where each lies, how its pixels are stored, and what may tell it from others.

Positions are still LPS, in mm, as DICOM gives them. Messages quote nothing of the header but numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from medseg.errors import InputError
from medseg.read.dicom_values import GROUPS, TRAITS, first, integer, numbers, text, trait

COSINE_TOLERANCE = 1e-3  # from unit length and from a right angle; headers round to about 1e-6


@dataclass(frozen=True, slots=True)
class Pixels:
    """How a file stores its pixels; `offset` in bytes, -1 where only a decoder finds them."""

    syntax: str
    offset: int
    bits_allocated: int
    bits_stored: int
    high_bit: int
    signed: bool
    compressed: bool

    @property
    def plain(self) -> bool:
        """Whether the bytes in the file are the pixels, little endian."""
        return (
            self.offset >= 0
            and not self.compressed
            and self.syntax in (ImplicitVRLittleEndian, ExplicitVRLittleEndian)
            and self.bits_allocated in (8, 16, 32)
        )


@dataclass(frozen=True, slots=True)
class Slice:
    """One slice: a single-frame file (`frame` 0) or one frame, from 1, of a multi-frame file."""

    path: Path
    frame: int
    size: tuple[int, int]  # rows, columns
    position: tuple[float, ...]  # LPS mm, of the first pixel's centre
    cosines: tuple[float, ...]  # of a row's direction, then a column's
    spacing_mm: tuple[float, ...]  # between rows, between columns
    thickness_mm: float | None
    scaling: tuple[float, float]  # slope, intercept
    pixels: Pixels
    scout: bool
    traits: dict[str, Any] = field(repr=False)
    codes: tuple[str, ...] = ()


def slices_of(path: Path, ds: Dataset, where: tuple[int, int], codes: tuple[str, ...]) -> list[Slice]:
    """Return a file's slices.

    Parameters
    ----------
    where
        Where its pixels begin in the file, and their length, in bytes.
    codes
        What was tolerated so far.

    Raises
    ------
    InputError
        `DICOM_MULTIFRAME`, `DICOM_MOSAIC`, `DICOM_PIXELS_UNREADABLE`, `FILE_TRUNCATED`, `IMAGE_EMPTY`,
        `GEOMETRY_MISSING_POSITION`, `GEOMETRY_BAD_AFFINE`.
    """
    frames = integer(ds, "NumberOfFrames", 1)
    groups: Sequence[Dataset] = ds.get("PerFrameFunctionalGroupsSequence") or []
    shared = (ds.get("SharedFunctionalGroupsSequence") or [Dataset()])[0]
    _check_frames(path, ds, frames, len(groups))
    size = (integer(ds, "Rows", 0), integer(ds, "Columns", 0))
    pixels = _pixels(path, ds, where, size, frames)
    if text(ds, "PhotometricInterpretation") == "MONOCHROME1":
        codes += ("DICOM_MONOCHROME1",)
    if text(ds, "BurnedInAnnotation").upper() == "YES":
        codes += ("DICOM_BURNED_IN_ANNOTATION",)
    uid, traits = text(ds, "SOPInstanceUID"), {key: trait(ds, key) for key in TRAITS}
    places = [(ds,)] if not groups else [(*_groups(frame), *_groups(shared), ds) for frame in groups]
    slices = []
    for number, levels in enumerate(places, start=1 if groups else 0):
        if groups:
            traits = {key: first(levels, key, trait) for key in TRAITS} | {"file": uid} | _dimensions(levels)
        scaling, scaling_codes = _scaling(levels)
        slices.append(
            Slice(
                path=path,
                frame=number,
                size=size,
                **_place(path, levels),
                scaling=scaling,
                pixels=pixels,
                scout="LOCALIZER" in str(traits["ImageType"]) or "LOCALIZER" in str(traits["FrameType"]),
                traits=traits,
                codes=codes + scaling_codes,
            )
        )
    return slices


def _check_frames(path: Path, ds: Dataset, frames: int, placed: int) -> None:
    """Refuse frames that are not placed, and slices that are tiles of one picture."""
    if (frames > 1 and not placed) or (placed and placed != frames):
        raise InputError(
            "DICOM_MULTIFRAME",
            f"{path} has {frames} frames, but positions for {placed} of them; export it as enhanced CT or "
            "MR, or as single frames",
        )
    if "MOSAIC" in text(ds, "ImageType"):
        raise InputError(
            "DICOM_MOSAIC", f"{path} holds all slices of a volume as tiles of one picture; export single slices"
        )


def _groups(item: Dataset) -> list[Dataset]:
    """Return the functional groups of one frame, or of all, that say where it lies or what it shows."""
    found = [item.get(keyword) for keyword in GROUPS if keyword in item]
    return [sequence[0] for sequence in found if sequence]


def _dimensions(levels: Sequence[Dataset]) -> dict[str, Any]:
    """Return each of a frame's DimensionIndexValues (PS3.3 C.7.6.17) as a trait of its own."""
    values = next((level.DimensionIndexValues for level in levels if "DimensionIndexValues" in level), None)
    return {f"dimension {n}": value for n, value in enumerate(np.atleast_1d([] if values is None else values))}


def _place(path: Path, levels: Sequence[Dataset]) -> dict[str, Any]:
    """Return where a slice lies (PS3.3 C.7.6.2), or refuse one that does not say so."""
    position = first(levels, "ImagePositionPatient", numbers, 3)
    cosines = first(levels, "ImageOrientationPatient", numbers, 6)
    spacing_mm = first(levels, "PixelSpacing", numbers, 2)
    named = {"position": position, "orientation": cosines, "pixel spacing": spacing_mm}
    missing = [name for name, value in named.items() if value is None]
    if missing:
        raise InputError(
            "GEOMETRY_MISSING_POSITION",
            f"{path} has no valid {', '.join(missing)}, so its pixels cannot be placed; export it from "
            "the PACS again",
        )
    row, column = np.array(cosines[:3]), np.array(cosines[3:])
    off = max(abs(np.linalg.norm(row) - 1), abs(np.linalg.norm(column) - 1), abs(row @ column))
    if off > COSINE_TOLERANCE or min(spacing_mm) <= 0:
        raise InputError(
            "GEOMETRY_BAD_AFFINE",
            f"{path}: its rows and columns are not two unit vectors at a right angle ({off:.2g} off) with a "
            "positive spacing; export it again",
        )
    thickness = first(levels, "SpacingBetweenSlices", numbers, 1) or first(levels, "SliceThickness", numbers, 1)
    return {
        "position": position,
        "cosines": cosines,
        "spacing_mm": spacing_mm,
        "thickness_mm": abs(thickness[0]) or None if thickness else None,
    }


def _scaling(levels: Sequence[Dataset]) -> tuple[tuple[float, float], tuple[str, ...]]:
    """Return slope and intercept; a slope of 0 or no number counts as none, by name."""
    given = [first(levels, key, text) for key in ("RescaleSlope", "RescaleIntercept")]
    slope = first(levels, "RescaleSlope", numbers, 1) if given[0] else (1.0,)
    intercept = first(levels, "RescaleIntercept", numbers, 1) if given[1] else (0.0,)
    if slope is None or intercept is None or slope[0] == 0:
        return (1.0, 0.0), ("IMAGE_NO_SCALING",)
    return (slope[0], intercept[0]), ()


def _pixels(path: Path, ds: Dataset, where: tuple[int, int], size: tuple[int, int], frames: int) -> Pixels:
    allocated = integer(ds, "BitsAllocated", 0)
    stored = integer(ds, "BitsStored", allocated)
    high_bit = integer(ds, "HighBit", stored - 1)
    if min(*size, frames) < 1:
        raise InputError("IMAGE_EMPTY", f"{path} has {size[0]} rows, {size[1]} columns and {frames} frames")
    if not (1 <= stored <= allocated <= 64 and stored - 1 <= high_bit < allocated):
        raise InputError(
            "DICOM_PIXELS_UNREADABLE",
            f"{path}: {stored} bits stored below bit {high_bit} of {allocated} cannot be; export it again",
        )
    offset, length = where
    syntax = text(ds.file_meta, "TransferSyntaxUID") if hasattr(ds, "file_meta") else ""
    known = UID(syntax)
    compressed = bool(syntax) and known.is_transfer_syntax and known.is_encapsulated
    if not compressed:
        needed = (size[0] * size[1] * frames * allocated + 7) // 8
        there = min(length, path.stat().st_size - offset)
        if syntax == DeflatedExplicitVRLittleEndian:
            there, offset = length, -1
        if there < needed:
            raise InputError(
                "FILE_TRUNCATED",
                f"{path} promises {needed} bytes of pixels and holds {max(there, 0)}; copy it again",
            )
    signed = integer(ds, "PixelRepresentation", 0) == 1
    if not compressed and offset >= 0:
        implicit, little = ds.original_encoding
        syntax = str(
            ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian if little else ExplicitVRBigEndian
        )
    return Pixels(syntax, offset, allocated, stored, high_bit, signed, compressed)
