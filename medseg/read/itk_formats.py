"""NRRD and MetaImage to a `Volume`: SimpleITK says where the voxels lie, they themselves come checked."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
from isal import igzip, isal_zlib

from medseg.errors import InputError
from medseg.geometry import lps_to_ras
from medseg.read.byte_stream import CHUNK_BYTES, MAX_RATIO, check_promise, fill, finish, open_bytes
from medseg.read.grid import check_axes
from medseg.read.itk_header import ItkText, parse_text, unreadable
from medseg.read.volume import Volume
from medseg.read.voxels import result_dtype, to_voxels

SUFFIXES = {".nrrd": "NrrdImageIO", ".mha": "MetaImageIO"}
DETACHED = (".nhdr", ".mhd")  # recognized and refused: what they name may lie anywhere
SCALARS = ("UInt8", "Int8", "UInt16", "Int16", "UInt32", "Int32", "UInt64", "Int64", "Float32", "Float64")


@dataclass(frozen=True)
class ItkHeader:
    """What the header says: `shape` (I, J, K), `affine` (4×4, to RAS+ mm), tolerated `codes`, stored `dtype`."""

    shape: tuple[int, int, int]
    affine: np.ndarray
    codes: tuple[str, ...]
    dtype: np.dtype


def is_itk_format(path: str | Path) -> bool:
    """Say whether the name is an NRRD or MetaImage file's, in either case, of the kinds that are refused too."""
    path = Path(path)
    return path.suffix.lower() in (*SUFFIXES, *DETACHED) and not path.name.startswith(".")


def scan_itk(path: str | Path) -> ItkHeader:
    """Judge an NRRD or MetaImage file by its header and its size, as `read_itk` does before it reads voxels.

    Raises
    ------
    InputError
        What `read_itk` raises, save for what only the voxels or the checksum show.
    """
    path = Path(path)
    with open_bytes(path, gzipped=False) as file:
        return _checked(file, path)[0]


def read_itk(path: str | Path) -> Volume:
    """Read one volume from ``.nrrd`` or ``.mha``, raw or compressed, voxels in the same file.

    Returns
    -------
    Volume
        As of `medseg.read.nifti.read_nifti`. `codes` may hold `GEOMETRY_NO_FORM` where the header does not
        say how the axes lie in the patient (they are then taken as left, posterior, superior, as ITK does),
        `GEOMETRY_SINGLE_SLICE` and `IMAGE_CONSTANT`.

    Raises
    ------
    InputError
        `FILE_MISSING`, `FILE_UNREADABLE` (detached headers and other encodings too), `FILE_TRUNCATED`,
        `FILE_TOO_LARGE`, `GEOMETRY_BAD_AFFINE`, `GEOMETRY_NOT_3D`, `GEOMETRY_SHEARED`, `IMAGE_EMPTY`,
        `IMAGE_NOT_FINITE`, `IMAGE_NOT_SCALAR`.
    """
    path = Path(path)
    with open_bytes(path, gzipped=False) as file:
        header, text = _checked(file, path)
        file.seek(text.offset)
        stored = np.empty(header.shape, header.dtype, order="F")
        with _unpacked(file, text.packing) as stream:
            fill(stream, stored, path)
            finish(stream, path)
        if text.big_endian:
            stored.byteswap(inplace=True)
        array, codes = to_voxels(stored, path)
    return Volume(array=array, affine=header.affine, codes=header.codes + codes, source=(path,))


def _checked(file: BinaryIO, path: Path) -> tuple[ItkHeader, ItkText]:
    if path.suffix.lower() not in SUFFIXES:
        raise unreadable(path, "it is a header whose voxels lie in another file")
    text = parse_text(file, path)
    affine, dtype = _geometry(path, text)
    shape = cast("tuple[int, int, int]", (*text.sizes, 1)[:3])
    codes: tuple[str, ...] = () if text.located else ("GEOMETRY_NO_FORM",)
    if 1 in shape:
        codes += ("GEOMETRY_SINGLE_SLICE",)
    check_axes(affine, path)
    needed = prod(shape) * dtype.itemsize
    left = path.stat().st_size - text.offset
    converted = prod(shape) * result_dtype(dtype).itemsize if result_dtype(dtype) != dtype else 0
    check_promise(path, needed, left if text.packing == "raw" else left * MAX_RATIO, needed + converted)
    return ItkHeader(shape, affine, codes, dtype), text


def _geometry(path: Path, text: ItkText) -> tuple[np.ndarray, np.dtype]:
    """Ask SimpleITK for the affine, to RAS+ mm, and the type of the voxels."""
    import SimpleITK  # costs 0.1 s, and few need it

    reader = SimpleITK.ImageFileReader()
    reader.SetImageIO(SUFFIXES[path.suffix.lower()])
    reader.SetFileName(str(path))
    shown = SimpleITK.ProcessObject.GetGlobalWarningDisplay()
    SimpleITK.ProcessObject.SetGlobalWarningDisplay(False)
    try:
        reader.ReadImageInformation()
    except RuntimeError:  # its text quotes the header
        raise unreadable(path, "its header is damaged") from None
    finally:
        SimpleITK.ProcessObject.SetGlobalWarningDisplay(shown)
    types = {getattr(SimpleITK, f"sitk{name}"): np.dtype(name.lower()) for name in SCALARS}
    if reader.GetNumberOfComponents() != 1 or reader.GetPixelIDValue() not in types:
        raise InputError("IMAGE_NOT_SCALAR", f"{path} holds vectors or colours; convert it to a scalar image")
    if reader.GetSize() != text.sizes:
        raise unreadable(path, "its header contradicts itself")
    return _ras(reader, path), types[reader.GetPixelIDValue()]


def _ras(reader: Any, path: Path) -> np.ndarray:
    n = reader.GetDimension()
    spacing = np.array(reader.GetSpacing())
    if not (spacing > 0).all():
        raise InputError(
            "GEOMETRY_BAD_AFFINE",
            f"{path}: a spacing is not above 0; export it again with a valid orientation",
        )
    lps = np.eye(4)
    lps[:n, :n] = np.reshape(reader.GetDirection(), (n, n)) * spacing
    lps[:n, 3] = reader.GetOrigin()
    return lps_to_ras(lps)


@contextmanager
def _unpacked(file: BinaryIO, packing: str) -> Iterator[BinaryIO]:
    if packing == "raw":
        yield file
    elif packing == "gzip":
        with igzip.open(file) as stream:
            yield cast(BinaryIO, stream)
    else:
        yield cast(BinaryIO, io.BufferedReader(_Zlib(file), CHUNK_BYTES))


class _Zlib(io.RawIOBase):
    """A zlib stream (RFC 1950) as a file; its checksum is compared at its end."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._stream = file, isal_zlib.decompressobj()

    def readable(self) -> bool:
        return True

    def readinto(self, target: Any) -> int:
        while not self._stream.eof:
            packed = self._stream.unconsumed_tail or self._file.read(CHUNK_BYTES)
            got = self._stream.decompress(packed, len(target))
            if got:
                target[: len(got)] = got
                return len(got)
            if not packed:
                raise EOFError
        return 0
