"""One DICOM file's header to its slices: where each lies, how its pixels are stored, what it belongs to.

No text of the header leaves this file but UIDs, the modality and the series description; messages carry
none of it, since any element may name the patient. Positions are still LPS, in mm, as DICOM gives them.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset
from pydicom.filereader import read_partial
from pydicom.tag import Tag
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    UID_dictionary,
)
from pydicom.valuerep import EXPLICIT_VR_LENGTH_32

from medseg.errors import InputError

SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"  # and its multi-frame kinds, .7.1 to .7.4
COSINE_TOLERANCE = 1e-3  # from unit length and from a right angle; headers round to about 1e-6
PIXEL_DATA = Tag("PixelData")
PIXELS = (PIXEL_DATA, Tag("FloatPixelData"), Tag("DoubleFloatPixelData"))
INFLATED_BYTES_MAX = 2**31
SUFFIXES = (".dcm", ".dicom", ".ima")  # of files that claim to be DICOM

# What tells apart the volumes of one series: what always does, what does where it leaves each part whole, and
# what does only where several slices lie at one place.
STRICT = ("StudyInstanceUID", "FrameOfReferenceUID", "SOPClassUID", "SeriesNumber")
IDENTITY = (
    "StackID",
    "ImageType",
    "FrameType",
    "EchoNumbers",
    "EchoTime",
    "EffectiveEchoTime",
    "ConvolutionKernel",
    "ComplexImageComponent",
)
PHASES = (
    "TemporalPositionIdentifier",
    "TemporalPositionIndex",
    "DiffusionBValue",
    "DiffusionGradientOrientation",
    "InversionTime",
    "NominalCardiacTriggerDelayTime",
    "NominalPercentageOfCardiacPhase",
    "TriggerTime",
    "FlipAngle",
    "AcquisitionNumber",
    "FrameReferenceTime",
    "AcquisitionDateTime",
    "AcquisitionTime",
)
GROUPS = (  # functional groups, PS3.3 C.7.6.16 and those of CT, MR and PET
    *("PlanePositionSequence", "PlaneOrientationSequence", "PixelMeasuresSequence"),
    *("PixelValueTransformationSequence", "FrameContentSequence", "TemporalPositionSequence"),
    *("CTImageFrameTypeSequence", "MRImageFrameTypeSequence", "PETFrameTypeSequence"),
    *("CTReconstructionSequence", "MREchoSequence", "MRDiffusionSequence", "MRModifierSequence"),
    *("MRTimingAndRelatedParametersSequence", "CardiacSynchronizationSequence"),
)
TRAITS = (*STRICT, *IDENTITY, *PHASES)
KEYWORDS = (
    *(key for key in TRAITS if key not in ("FrameType", "StackID")),
    *("TransferSyntaxUID", "SOPInstanceUID", "SeriesInstanceUID", "SeriesDescription", "Modality"),
    *("Rows", "Columns", "NumberOfFrames", "PixelSpacing", "ImagePositionPatient", "ImageOrientationPatient"),
    *("SliceThickness", "SpacingBetweenSlices", "RescaleSlope", "RescaleIntercept", "ModalityLUTSequence"),
    *("SamplesPerPixel", "PhotometricInterpretation", "BitsAllocated", "BitsStored", "HighBit"),
    *("PixelRepresentation", "BurnedInAnnotation"),
    *("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"),
)
TAGS: list[Any] = [Tag(keyword) for keyword in KEYWORDS]


class Skipped(InputError):
    """A file that holds nothing to segment; `code` says what it is."""


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
    uid: str
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


@dataclass(slots=True)
class DicomFile:
    """What one file holds: slices, or the reason why none can be used."""

    path: Path
    series_uid: str = ""
    modality: str = ""
    description: str = field(default="", repr=False)
    slices: list[Slice] = field(default_factory=list)
    problem: InputError | None = None


def read_header(path: Path) -> DicomFile | None:
    """Read one file's header; None where the file does not claim to be DICOM at all.

    A refusal stands in `DicomFile.problem`, so that the series it belongs to is known.
    """
    file = DicomFile(path)
    try:
        ds, where, codes = _open(path)
        if ds is None:
            return None
        file.series_uid = _text(ds, "SeriesInstanceUID")
        file.modality = _text(ds, "Modality")[:16]
        file.description = _text(ds, "SeriesDescription")
        _check_kind(path, ds, where is not None)
        assert where is not None
        file.slices = _slices(path, ds, where, codes)
    except InputError as error:
        file.problem = error
    except Exception as error:  # pydicom raises what the broken bytes led it to, and quotes them
        file.problem = InputError(
            "FILE_UNREADABLE", f"{path} cannot be read as DICOM ({type(error).__name__}); export it again"
        )
    return file


def _open(path: Path) -> tuple[Dataset | None, tuple[int, int] | None, tuple[str, ...]]:
    """Return the header, where the pixels begin and their length in bytes, and what was tolerated."""
    with path.open("rb") as stream:
        start = stream.read(1024)
        has_preamble = start[128:132] == b"DICM"
        if not has_preamble and not _begins_like_dicom(start):
            if path.suffix.lower() in SUFFIXES:
                raise InputError("FILE_UNREADABLE", f"{path} is named as DICOM and is not; export it again")
            return None, None, ()
        if DeflatedExplicitVRLittleEndian.encode() in start:
            _check_inflated(path)
        pixels: list[tuple[str | None, int]] = []

        def at_pixels(tag: Any, vr: str | None, length: int) -> bool:
            if tag == PIXEL_DATA:
                pixels.append((vr, length))
            return tag in PIXELS

        stream.seek(0)
        try:
            ds = read_partial(stream, stop_when=at_pixels, force=True, specific_tags=TAGS)
        except EOFError:
            raise InputError("FILE_TRUNCATED", f"{path} ends before its header says; copy it again") from None
        if not has_preamble and not _text(ds, "SOPClassUID") and not pixels:
            return None, None, ()
        where = None
        if pixels:
            vr, length = pixels[0]
            where = (stream.tell() + (8 if vr is None else 12 if vr in EXPLICIT_VR_LENGTH_32 else 8), length)
    return ds, where, () if has_preamble else ("DICOM_NO_PREAMBLE",)


def looks_like_dicom(path: Path) -> bool:
    """Say whether a file begins as DICOM does (PS3.10 7.1), with or without its preamble."""
    with path.open("rb") as stream:
        start = stream.read(1024)
    return start[128:132] == b"DICM" or _begins_like_dicom(start)


def _begins_like_dicom(start: bytes) -> bool:
    """Say whether the bytes begin with an element of group 2 or 8, as DICOM without a preamble does."""
    if len(start) < 8:
        return False
    for order in "<>":
        group, element = struct.unpack(f"{order}HH", start[:4])
        length = struct.unpack(f"{order}L", start[4:8])[0]
        explicit = start[4:6].isalpha() and start[4:6].isupper()
        if group in (2, 8) and element < 0x100 and (explicit or length < 1024):
            return True
    return False


def _check_inflated(path: Path) -> None:
    """Refuse a deflated file that would unpack beyond reason, before pydicom unpacks it whole."""
    data = path.read_bytes()
    meta_length = struct.unpack("<L", data[140:144])[0] if len(data) > 144 else 0
    engine, packed, size = zlib.decompressobj(-zlib.MAX_WBITS), data[144 + meta_length :], 0
    try:
        while packed and not engine.eof:
            size += len(engine.decompress(packed, 1 << 24))
            packed = engine.unconsumed_tail
            if size > INFLATED_BYTES_MAX:
                raise InputError("FILE_TOO_LARGE", f"{path} unpacks to more than 2 GiB; export it uncompressed")
    except zlib.error:
        raise InputError("FILE_UNREADABLE", f"{path}: its deflated data is damaged; export it again") from None


def _check_kind(path: Path, ds: Dataset, has_pixels: bool) -> None:
    """Pass images of slices; raise `Skipped` for what holds none, `InputError` for what cannot be used."""
    uid = _text(ds, "SOPClassUID") or _text(getattr(ds, "file_meta", Dataset()), "MediaStorageSOPClassUID")
    kind = UID_dictionary[uid][0] if uid in UID_dictionary else ""
    if uid == SECONDARY_CAPTURE or uid.startswith(f"{SECONDARY_CAPTURE}."):
        raise Skipped("DICOM_SECONDARY_CAPTURE", f"{path} is a secondary capture; nothing in it to segment")
    if kind and ("Image Storage" not in kind or "RT Image" in kind):
        raise Skipped("DICOM_NOT_AN_IMAGE", f"{path} holds {kind}, no slices; nothing in it to segment")
    if uid and not kind and "Rows" not in ds and not has_pixels:
        raise Skipped("DICOM_NOT_AN_IMAGE", f"{path} has neither rows nor pixels; nothing in it to segment")
    if not has_pixels:
        raise InputError(
            "FILE_TRUNCATED", f"{path} has no pixels: it was cut off, or is a header alone; copy it again"
        )
    colours = _text(ds, "PhotometricInterpretation")
    if _integer(ds, "SamplesPerPixel", 1) != 1 or colours not in ("", "MONOCHROME1", "MONOCHROME2"):
        raise InputError("IMAGE_NOT_SCALAR", f"{path} holds colours; a scalar series is needed")
    if ds.get("ModalityLUTSequence"):
        raise InputError(
            "DICOM_PIXELS_UNREADABLE", f"{path} maps its values by a table (Modality LUT); a slope is needed"
        )


def _slices(path: Path, ds: Dataset, where: tuple[int, int], codes: tuple[str, ...]) -> list[Slice]:
    frames = _integer(ds, "NumberOfFrames", 1)
    groups: Sequence[Dataset] = ds.get("PerFrameFunctionalGroupsSequence") or []
    shared = (ds.get("SharedFunctionalGroupsSequence") or [Dataset()])[0]
    if (frames > 1 and not groups) or (groups and len(groups) != frames):
        raise InputError(
            "DICOM_MULTIFRAME",
            f"{path} says that it has {frames} frames and where {len(groups)} of them lie; export it as "
            "enhanced CT or MR, or as single frames",
        )
    if "MOSAIC" in _text(ds, "ImageType"):
        raise InputError(
            "DICOM_MOSAIC", f"{path} holds all slices of a volume as tiles of one picture; export single slices"
        )
    size = (_integer(ds, "Rows", 0), _integer(ds, "Columns", 0))
    pixels = _pixels(path, ds, where, size, frames)
    if _text(ds, "PhotometricInterpretation") == "MONOCHROME1":
        codes += ("DICOM_MONOCHROME1",)
    if _text(ds, "BurnedInAnnotation").upper() == "YES":
        codes += ("DICOM_BURNED_IN_ANNOTATION",)
    uid, traits = _text(ds, "SOPInstanceUID"), {key: _trait(ds, key) for key in TRAITS}
    places = [(ds,)] if not groups else [(*_groups(frame), *_groups(shared), ds) for frame in groups]
    slices = []
    for number, levels in enumerate(places, start=1 if groups else 0):
        if groups:
            traits = {key: _first(levels, key, _trait) for key in TRAITS} | {"file": uid} | _dimensions(levels)
        scaling, scaling_codes = _scaling(levels)
        slices.append(
            Slice(
                path=path,
                frame=number,
                uid=uid,
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
    position = _first(levels, "ImagePositionPatient", _numbers, 3)
    cosines = _first(levels, "ImageOrientationPatient", _numbers, 6)
    spacing_mm = _first(levels, "PixelSpacing", _numbers, 2)
    named = {"position": position, "orientation": cosines, "pixel spacing": spacing_mm}
    missing = [name for name, value in named.items() if value is None]
    if missing:
        raise InputError(
            "GEOMETRY_MISSING_POSITION",
            f"{path} has no valid {', '.join(missing)}, so its pixels lie nowhere; export it from the PACS again",
        )
    row, column = np.array(cosines[:3]), np.array(cosines[3:])
    off = max(abs(np.linalg.norm(row) - 1), abs(np.linalg.norm(column) - 1), abs(row @ column))
    if off > COSINE_TOLERANCE or min(spacing_mm) <= 0:
        raise InputError(
            "GEOMETRY_BAD_AFFINE",
            f"{path}: its rows and columns are not two unit vectors at a right angle ({off:.2g} off) with a "
            "positive spacing; export it again",
        )
    thickness = _first(levels, "SpacingBetweenSlices", _numbers, 1) or _first(
        levels, "SliceThickness", _numbers, 1
    )
    return {
        "position": position,
        "cosines": cosines,
        "spacing_mm": spacing_mm,
        "thickness_mm": abs(thickness[0]) or None if thickness else None,
    }


def _scaling(levels: Sequence[Dataset]) -> tuple[tuple[float, float], tuple[str, ...]]:
    """Return slope and intercept; a slope of 0 or no number counts as none, by name."""
    given = [_first(levels, key, _text) for key in ("RescaleSlope", "RescaleIntercept")]
    slope = _first(levels, "RescaleSlope", _numbers, 1) if given[0] else (1.0,)
    intercept = _first(levels, "RescaleIntercept", _numbers, 1) if given[1] else (0.0,)
    if slope is None or intercept is None or slope[0] == 0:
        return (1.0, 0.0), ("IMAGE_NO_SCALING",)
    return (slope[0], intercept[0]), ()


def _pixels(path: Path, ds: Dataset, where: tuple[int, int], size: tuple[int, int], frames: int) -> Pixels:
    allocated = _integer(ds, "BitsAllocated", 0)
    stored = _integer(ds, "BitsStored", allocated)
    high_bit = _integer(ds, "HighBit", stored - 1)
    if min(*size, frames) < 1:
        raise InputError("IMAGE_EMPTY", f"{path} has {size[0]} rows, {size[1]} columns and {frames} frames")
    if not (1 <= stored <= allocated <= 64 and stored - 1 <= high_bit < allocated):
        raise InputError(
            "DICOM_PIXELS_UNREADABLE",
            f"{path}: {stored} bits stored below bit {high_bit} of {allocated} cannot be; export it again",
        )
    offset, length = where
    syntax = _text(ds.file_meta, "TransferSyntaxUID") if hasattr(ds, "file_meta") else ""
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
    signed = _integer(ds, "PixelRepresentation", 0) == 1
    if not compressed and offset >= 0:
        implicit, little = ds.original_encoding
        syntax = str(
            ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian if little else ExplicitVRBigEndian
        )
    return Pixels(syntax, offset, allocated, stored, high_bit, signed, compressed)


def _first(levels: Sequence[Dataset], keyword: str, get: Any, *how: Any) -> Any:
    """Return what `get` finds at the innermost level that has the element."""
    return next((get(level, keyword, *how) for level in levels if keyword in level), None)


def _trait(ds: Dataset, keyword: str) -> Any:
    """Return an element as it stands in the file, to be compared and no more."""
    item = ds.get_item(keyword) if keyword in ds else None
    value = getattr(item, "value", None)
    return value if isinstance(value, (bytes, type(None))) else str(value)


def _text(ds: Dataset, keyword: str) -> str:
    try:
        value = ds.get(keyword)
        return "" if value is None else str(value).strip()
    except Exception:  # an unknown character set, or bytes that are not in it
        return ""


def _numbers(ds: Dataset, keyword: str, count: int) -> tuple[float, ...] | None:
    """Return an element's `count` finite numbers, or None where that is not what it holds."""
    value: Any = getattr(ds.get_item(keyword), "value", None)
    try:
        parts = value.strip(b" \0").split(b"\\") if isinstance(value, bytes) else np.atleast_1d(value)
        numbers = tuple(float(part) for part in parts)
    except (TypeError, ValueError):
        return None
    return numbers if len(numbers) == count and all(map(math.isfinite, numbers)) else None


def _integer(ds: Dataset, keyword: str, default: int) -> int:
    value = ds.get(keyword)
    return default if value in (None, "") else int(value)
