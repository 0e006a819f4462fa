"""The text before the voxels of an NRRD or MetaImage file: where they begin and how they are packed.

NRRD (https://teem.sourceforge.net/nrrd/format.html) and MetaImage
(https://itk.org/Wiki/ITK/MetaIO/Documentation), voxels in the same file. What is read here is what decides
about memory and other files; SimpleITK is asked about the geometry of a header that passed. It is kept from
the voxels: it reads a damaged compressed MetaImage without a word, and complains on the console.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import BinaryIO

from medseg.errors import InputError

MAX_HEADER_BYTES = 2**20  # Slicer's segment tables take some hundred kB
NRRD_PACKING = {"raw": "raw", "gzip": "gzip", "gz": "gzip"}
ANATOMICAL = re.compile(r"(left|right)-(anterior|posterior)-(superior|inferior)|[lr][ap][si]")
NUMBER = r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?"
META_LOCATED = ("TransformMatrix", "Rotation", "Orientation", "Direction")
META_NUMBERS = {  # how often each is there: the number of axes to that power
    **dict.fromkeys(("NDims", "HeaderSize", "CompressedDataSize", "ElementNumberOfChannels"), 0),
    **dict.fromkeys(("DimSize", "ElementSpacing", "ElementSize", "Offset", "Position", "Origin"), 1),
    **dict.fromkeys(("CenterOfRotation", "CenterOfRotationPoint"), 1),
    **dict.fromkeys(META_LOCATED, 2),
}
META_NEEDED = ("NDims", "DimSize", "ElementType", "ElementDataFile")


@dataclass(frozen=True)
class ItkText:
    """Where the voxels begin (bytes), their packing (``raw``, ``gzip``, ``zlib``), byte order, shape, and whether
    the header says how they lie in the patient."""

    offset: int
    packing: str
    big_endian: bool
    sizes: tuple[int, ...]
    located: bool


def parse_text(stream: BinaryIO, path: Path) -> ItkText:
    """Read the text header of an NRRD or MetaImage file, or refuse it.

    Raises
    ------
    InputError
        `FILE_UNREADABLE` for what is damaged, detached or packed otherwise; `IMAGE_NOT_SCALAR`,
        `IMAGE_EMPTY`, `GEOMETRY_NOT_3D`.
    """
    text = _nrrd(stream, path) if path.suffix.lower() == ".nrrd" else _meta(stream, path)
    if any(n < 0 for n in text.sizes) or not text.sizes:
        raise unreadable(path, f"its shape {text.sizes} is impossible")
    if prod(text.sizes) == 0:
        raise InputError("IMAGE_EMPTY", f"{path} has shape {text.sizes} and so no voxel; export it again")
    if len(text.sizes) not in (2, 3):
        raise InputError(
            "GEOMETRY_NOT_3D",
            f"{path} has shape {text.sizes}; each file must hold one 3D volume: split it",
        )
    return text


def _nrrd(stream: BinaryIO, path: Path) -> ItkText:
    if not re.fullmatch(rb"NRRD000\d", _line(stream, path, 16)):
        raise unreadable(path, "it does not begin as NRRD does")
    fields: dict[str, str] = {}
    while line := _line(stream, path):
        key, colon, value = line.decode("latin-1").partition(":")
        if line.startswith(b"#") or value.startswith("="):  # a comment; a key of somebody's own
            continue
        if not colon or key.lower() in fields:
            raise unreadable(path, "its header is damaged")
        fields[key.lower()] = value.strip()
    if any(key in fields for key in ("data file", "datafile", "byte skip", "byteskip", "line skip", "lineskip")):
        raise unreadable(path, "its voxels lie in another file, or not right after the header")
    packing = NRRD_PACKING.get(fields.get("encoding", "").lower())
    if packing is None:
        raise unreadable(path, "its voxels are neither raw nor packed by gzip")
    if set(re.findall(r'"([^"]*)"', fields.get("space units", "").lower())) - {"mm", "", "millimeter"}:
        raise unreadable(path, "its unit of length is not mm")
    kinds = fields.get("kinds", "").lower().split()
    if set(kinds) - {"domain", "space", "time", "list", "???", "none"}:
        raise InputError("IMAGE_NOT_SCALAR", f"{path} holds vectors or colours; convert it to a scalar image")
    sizes = _integers(fields.get("sizes", ""), path)
    located = bool(ANATOMICAL.match(fields.get("space", "").lower())) and "space directions" in fields
    return ItkText(stream.tell(), packing, fields.get("endian", "").lower() == "big", sizes, located)


def _meta(stream: BinaryIO, path: Path) -> ItkText:
    fields: dict[str, str] = {}
    while "ElementDataFile" not in fields:
        match = re.fullmatch(r"(\w+) *= *(.*?) *", _line(stream, path).decode("latin-1"))
        # MetaIO needs the number of axes before what has as many numbers.
        if not match or match[1] in fields or (match[1] in ("DimSize", *META_LOCATED) and "NDims" not in fields):
            raise unreadable(path, "its header is damaged, or it is no MetaImage")
        fields[match[1]] = match[2]
    missing = [key for key in META_NEEDED if not fields.get(key)]
    if missing:
        raise unreadable(path, f"its header lacks {', '.join(missing)}")
    if fields["ElementDataFile"] != "LOCAL" or fields.get("HeaderSize", "0") != "0":
        raise unreadable(path, "its voxels lie in another file, or not right after the header")
    if fields.get("BinaryData", "True").lower() not in ("true", "1"):
        raise unreadable(path, "its voxels are written as text")
    if fields.get("DistanceUnits", "mm").lower() not in ("mm", "?"):
        raise unreadable(path, "its unit of length is not mm")
    if fields.get("ElementNumberOfChannels", "1") != "1" or "ARRAY" in fields["ElementType"]:
        raise InputError("IMAGE_NOT_SCALAR", f"{path} holds vectors or colours; convert it to a scalar image")
    sizes = _integers(fields["DimSize"], path)
    if _integers(fields["NDims"], path) != (len(sizes),):
        raise unreadable(path, "the number of sizes differs from the number of axes")
    for key in META_NUMBERS.keys() & fields.keys():  # MetaIO would say so on the console
        words = fields[key].split()
        if len(words) != len(sizes) ** META_NUMBERS[key] or not all(re.fullmatch(NUMBER, word) for word in words):
            raise unreadable(path, f"its {key} is damaged")
    order = fields.get("BinaryDataByteOrderMSB", fields.get("ElementByteOrderMSB", "False"))
    packed = fields.get("CompressedData", "False").lower() in ("true", "1")
    located = any(key in fields for key in META_LOCATED)
    return ItkText(stream.tell(), "zlib" if packed else "raw", order.lower() in ("true", "1"), sizes, located)


def _line(stream: BinaryIO, path: Path, limit: int = MAX_HEADER_BYTES) -> bytes:
    line = stream.readline(limit)
    # Python and C disagree on what the rarer control characters are: white space or not.
    if (
        not line.endswith(b"\n")
        or stream.tell() > MAX_HEADER_BYTES
        or re.search(rb"[\0-\x08\x0b-\x1f](?!\n)", line)
    ):
        raise unreadable(path, "its header is damaged or does not end")
    return line.rstrip(b"\r\n")


def _integers(text: str, path: Path) -> tuple[int, ...]:
    if not re.fullmatch(r"-?\d{1,18}(\s+-?\d{1,18})*", text):
        raise unreadable(path, "its shape is no list of whole numbers")
    return tuple(int(word) for word in text.split())


def unreadable(path: Path, found: str) -> InputError:
    return InputError("FILE_UNREADABLE", f"{path}: {found}; convert or export it again as .nii.gz")
