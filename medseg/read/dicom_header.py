"""One DICOM file's header: what it is, what it belongs to, and its slices.

No text of the header leaves here but UIDs, the modality and the series description; messages carry none of
it, since any element may name the patient.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset
from pydicom.filereader import read_partial
from pydicom.tag import Tag
from pydicom.uid import DeflatedExplicitVRLittleEndian, UID_dictionary
from pydicom.valuerep import EXPLICIT_VR_LENGTH_32

from medseg.errors import InputError
from medseg.read.dicom_slice import Slice, slices_of
from medseg.read.dicom_values import TAGS, integer, text

SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"  # and its multi-frame kinds, .7.1 to .7.4
PIXEL_DATA = Tag("PixelData")
PIXELS = (PIXEL_DATA, Tag("FloatPixelData"), Tag("DoubleFloatPixelData"))
INFLATED_BYTES_MAX = 2**31
SUFFIXES = (".dcm", ".dicom", ".ima")  # of files that claim to be DICOM


class Skipped(InputError):
    """A file that holds nothing to segment; `code` says what it is."""


@dataclass(slots=True)
class DicomFile:
    """What one file holds: slices, or the reason why none can be used."""

    path: Path
    series_uid: str = ""
    modality: str = ""
    series_number: str = field(default="", repr=False)
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
        file.series_uid = text(ds, "SeriesInstanceUID")
        file.modality = text(ds, "Modality")[:16]
        file.series_number = text(ds, "SeriesNumber")
        file.description = text(ds, "SeriesDescription")
        _check_kind(path, ds, where is not None)
        assert where is not None
        file.slices = slices_of(path, ds, where, codes)
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
        if not has_preamble and not text(ds, "SOPClassUID") and not pixels:
            return None, None, ()
        where = None
        if pixels:
            vr, length = pixels[0]
            where = (stream.tell() + (12 if vr in EXPLICIT_VR_LENGTH_32 else 8), length)
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
    uid = text(ds, "SOPClassUID") or text(getattr(ds, "file_meta", Dataset()), "MediaStorageSOPClassUID")
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
    colours = text(ds, "PhotometricInterpretation")
    if integer(ds, "SamplesPerPixel", 1) != 1 or colours not in ("", "MONOCHROME1", "MONOCHROME2"):
        raise InputError("IMAGE_NOT_SCALAR", f"{path} holds colours; a scalar series is needed")
    if ds.get("ModalityLUTSequence"):
        raise InputError(
            "DICOM_PIXELS_UNREADABLE", f"{path} maps its values by a table (Modality LUT); a slope is needed"
        )
