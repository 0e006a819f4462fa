"""A NIfTI header to the facts that reading needs, or a refusal, before a voxel is touched.

NIfTI-1 (nifti1.h, https://nifti.nimh.nih.gov/nifti-1) and NIfTI-2, of either byte order, in a single file.
Text in a header may name a patient: none of it reaches a message.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any, BinaryIO

import nibabel
import numpy as np

from medseg.errors import InputError
from medseg.read.grid import check_count, shape_3d
from medseg.read.nifti_affine import affine_of

HEADERS = {348: (nibabel.Nifti1Header, b"n+1\0"), 540: (nibabel.Nifti2Header, b"n+2\0")}
TYPES = {
    2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1", 512: "u2", 768: "u4", 1024: "i8", 1280: "u8",
}  # fmt: skip
NOT_SCALAR = {
    32: "complex numbers", 128: "RGB colours", 1536: "128-bit floats", 1792: "complex numbers",
    2048: "complex numbers", 2304: "RGBA colours",
}  # fmt: skip
MAX_OFFSET_BYTES = 2**26  # where voxels begin; extensions of DICOM headers take some MB at most


@dataclass(frozen=True)
class NiftiHeader:
    """What a header says about the volume.

    Attributes
    ----------
    shape
        Voxels along I, J, K.
    affine
        4×4 float64, voxel index to RAS+ millimetres.
    codes
        What was tolerated, by name.
    dtype
        As stored, with its byte order.
    offset
        Bytes before the first voxel, header included.
    slope, inter
        A voxel is ``stored · slope + inter``; 1 and 0 where the file does not scale.
    channels
        Volumes along a fourth axis.
    """

    shape: tuple[int, int, int]
    affine: np.ndarray
    codes: tuple[str, ...]
    dtype: np.dtype
    offset: int
    slope: float
    inter: float
    channels: int = 1

    @property
    def stored_shape(self) -> tuple[int, ...]:
        """The shape of all voxels, with a fourth axis where there are several channels."""
        return self.shape if self.channels == 1 else (*self.shape, self.channels)


def parse_header(stream: BinaryIO, path: Path, channels: int | None = 1) -> tuple[NiftiHeader, int]:
    """Take a header off the stream; give what it says and its length in bytes.

    Parameters
    ----------
    channels
        How many volumes there may be along a fourth axis; None for any number.

    Raises
    ------
    InputError
        `FILE_UNREADABLE`, `FILE_TRUNCATED`, `IMAGE_NOT_SCALAR`, `IMAGE_EMPTY`, `GEOMETRY_NOT_3D`,
        `CHANNELS_MISMATCH`, and what `affine_of` raises.
    """
    header, size = _header(stream, path)
    dtype = _dtype(header, path)
    shape, there = _shape(header, path, channels)
    offset = float(header["vox_offset"])
    if not (isfinite(offset) and offset.is_integer() and size + 4 <= offset <= MAX_OFFSET_BYTES):
        raise _unreadable(
            path, f"its voxels begin at byte {offset:g}, and {size + 4} to {MAX_OFFSET_BYTES} is allowed"
        )
    affine, codes = affine_of(header, shape, path)
    if 1 in shape:
        codes += ("GEOMETRY_SINGLE_SLICE",)
    slope, inter = float(header["scl_slope"]), float(header["scl_inter"])
    if slope == 0:  # "if scl_slope is 0, there is no scaling" (nifti1.h, data scaling)
        slope, inter = 1.0, 0.0
    elif not (isfinite(slope) and isfinite(inter)):
        slope, inter = 1.0, 0.0
        codes += ("IMAGE_NO_SCALING",)
    return NiftiHeader(shape, affine, codes, dtype, int(offset), slope, inter, there), size


def _header(stream: BinaryIO, path: Path) -> tuple[Any, int]:
    block = stream.read(348)
    sizes = {size for size in HEADERS for order in ("little", "big") if block[:4] == size.to_bytes(4, order)}
    if not sizes and block:
        raise _unreadable(path, "it does not begin as NIfTI does")
    size = sizes.pop() if sizes else 348
    block += stream.read(size - 348)
    if len(block) < size:
        raise InputError(
            "FILE_TRUNCATED", f"{path} stops after {len(block)} bytes of its header; copy or export it again"
        )
    kind, magic = HEADERS[size]
    found = block[344:348] if size == 348 else block[4:8]
    if found != magic:
        pair = found[:2] == b"ni"
        raise _unreadable(
            path, "it is half of an .hdr/.img pair" if pair else "it is Analyze or damaged, not NIfTI"
        )
    big = block[:4] == size.to_bytes(4, "big")
    return kind(block, endianness=">" if big else "<", check=False), size


def _dtype(header: Any, path: Path) -> np.dtype:
    number = int(header["datatype"])
    if number in NOT_SCALAR:
        raise InputError("IMAGE_NOT_SCALAR", f"{path} holds {NOT_SCALAR[number]}; convert it to a scalar image")
    if number not in TYPES:
        raise _unreadable(path, f"its data type {number} is none of NIfTI's")
    return np.dtype(header.endianness + TYPES[number])


def _shape(header: Any, path: Path, channels: int | None) -> tuple[tuple[int, int, int], int]:
    """Return the shape of one channel, and how many there are."""
    n_axes = int(header["dim"][0])
    if not 0 <= n_axes <= 7:
        raise _unreadable(path, f"it claims {n_axes} axes, and 1 to 7 are possible")
    dims = [int(n) for n in header["dim"][1 : n_axes + 1]]
    if any(n < 0 for n in dims):
        raise _unreadable(path, f"its shape {tuple(dims)} has a negative axis")
    there = dims.pop() if channels != 1 and n_axes == 4 and dims[3] > 1 else 1
    shape = shape_3d(dims, path)
    check_count(there, channels, path)
    return shape, there


def _unreadable(path: Path, found: str) -> InputError:
    return InputError("FILE_UNREADABLE", f"{path}: {found}; convert or export it again as .nii.gz")
