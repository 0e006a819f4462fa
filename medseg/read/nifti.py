"""NIfTI to a `Volume`: the header is judged first, then the voxels go straight into their array."""

from __future__ import annotations

from math import prod
from pathlib import Path
from typing import BinaryIO

import numpy as np

from medseg.read.byte_stream import check_promise, fill, finish, gzip_can_hold, open_bytes, skip
from medseg.read.nifti_header import NiftiHeader, parse_header
from medseg.read.volume import Volume
from medseg.read.voxels import result_dtype, to_voxels

SUFFIXES = (".nii.gz", ".nii")


def is_nifti(path: str | Path) -> bool:
    """Say whether the name is a NIfTI file's, in either case; hidden files (``._x.nii.gz`` of macOS) are not."""
    name = Path(path).name.lower()
    return name.endswith(SUFFIXES) and not name.startswith(".")


def scan_nifti(path: str | Path, channels: int | None = 1) -> NiftiHeader:
    """Judge a NIfTI file by its header and its size, as `read_nifti` does before it reads voxels.

    Raises
    ------
    InputError
        What `read_nifti` raises, save for what only the voxels or the checksum show.
    """
    path = Path(path)
    with open_bytes(path, gzipped=_is_gzipped(path)) as stream:
        header, _ = _checked(stream, path, channels)
    return header


def read_nifti(path: str | Path, channels: int | None = 1) -> Volume:
    """Read one volume from ``.nii`` or ``.nii.gz``, NIfTI-1 or NIfTI-2.

    Parameters
    ----------
    channels
        How many are wanted along a fourth axis; None for as many as there are.

    Returns
    -------
    Volume
        Its array owns its memory, is writable, Fortran-ordered as NIfTI stores it, and of the stored type in
        native byte order where the file does not scale; else see `medseg.read.voxels.result_dtype`. A file
        with two axes gets a third of length one; further axes of length one are dropped. `codes` may hold
        `GEOMETRY_FORMS_DISAGREE`, `GEOMETRY_NO_FORM`, `GEOMETRY_SINGLE_SLICE`, `IMAGE_NO_SCALING` and
        `IMAGE_CONSTANT`.

    Raises
    ------
    InputError
        `CHANNELS_MISMATCH`, `FILE_MISSING`, `FILE_UNREADABLE`, `FILE_TRUNCATED`, `FILE_TOO_LARGE`,
        `GEOMETRY_BAD_AFFINE`, `GEOMETRY_FORMS_DISAGREE`, `GEOMETRY_NOT_3D`, `GEOMETRY_SHEARED`, `IMAGE_EMPTY`,
        `IMAGE_NOT_FINITE`, `IMAGE_NOT_SCALAR`.
    """
    path = Path(path)
    with open_bytes(path, gzipped=_is_gzipped(path)) as stream:
        header, position = _checked(stream, path, channels)
        skip(stream, header.offset - position, path)
        stored = np.empty(header.stored_shape, header.dtype.newbyteorder("="), order="F")
        fill(stream, stored, path)
        finish(stream, path)
        if not header.dtype.isnative:
            stored.byteswap(inplace=True)
        array, codes = to_voxels(stored, path, header.slope, header.inter)
    first, *further = (array,) if header.channels == 1 else np.moveaxis(array, 3, 0)
    codes = header.codes + codes
    return Volume(first, header.affine, codes=codes, source=(path,), further=tuple(further))


def _checked(stream: BinaryIO, path: Path, channels: int | None) -> tuple[NiftiHeader, int]:
    header, position = parse_header(stream, path, channels)
    n_voxels = prod(header.stored_shape)
    promised = header.offset + n_voxels * header.dtype.itemsize
    result = result_dtype(header.dtype, header.slope, header.inter)
    converted = n_voxels * result.itemsize if result != header.dtype.newbyteorder("=") else 0
    can_hold = gzip_can_hold(path, promised) if _is_gzipped(path) else path.stat().st_size
    check_promise(path, promised, can_hold, n_voxels * header.dtype.itemsize + converted)
    return header, position


def _is_gzipped(path: Path) -> bool:
    return path.name.lower().endswith(".gz")
