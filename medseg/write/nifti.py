"""Label maps as NIfTI, on the very grid of their image."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from io import BytesIO
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from medseg.files import atomic

# What places a NIfTI's voxels (NIfTI-1.1, nifti1.h, METHODS 1 to 3), with the units it is written in
GRID_FIELDS = (
    "qform_code",
    "sform_code",
    *("quatern_b", "quatern_c", "quatern_d"),
    *("qoffset_x", "qoffset_y", "qoffset_z"),
    *("srow_x", "srow_y", "srow_z"),
)
# zlib's fastest. isal's takes 16 ms where this takes 320, for 79 MB of labels, but does not always give the same
# bytes for the same labels, and results are compared by their hash.
GZIP_LEVEL = 1
GZIP_WINDOW_BITS = 16 + 15  # with gzip's header, which has neither a time nor a name in it
CHUNK_BYTES = 2**20  # voxels put in order and packed at a time


def write_label_map(path: str | Path, labels: np.ndarray, affine: np.ndarray, like: Path | None = None) -> None:
    """Write a label map as NIfTI.

    Parameters
    ----------
    labels
        Unsigned integers, axes (I, J, K).
    affine
        4×4, voxel index to RAS+ mm.
    like
        The NIfTI the labels belong to; its sform, qform, their codes and its pixdim are kept to the last
        bit, so that the map lies where the image lies in every viewer.
    """
    import nibabel

    header = nibabel.Nifti1Header()
    header.set_data_dtype(labels.dtype)
    header.set_data_shape(labels.shape)
    if like is None:
        header.set_sform(affine, code="scanner")
        header.set_qform(affine, code="scanner")
        header.set_xyzt_units("mm")
    else:
        source = _header_of(like)
        for field in GRID_FIELDS:
            header[field] = source[field]
        header["pixdim"][:4] = source["pixdim"][:4]
        units = source.get_xyzt_units()[0]
        header.set_xyzt_units("mm" if units == "unknown" else units)
    header = nibabel.Nifti1Image(labels, None, header).header  # with what nibabel sets when it saves
    header.set_slope_inter(1, 0)
    head = BytesIO()
    header.write_to(head)
    packer = zlib.compressobj(GZIP_LEVEL, wbits=GZIP_WINDOW_BITS) if Path(path).suffix == ".gz" else None
    chunks: Iterator[bytes | memoryview] = chain([head.getvalue()], _chunks(labels))
    with atomic(path) as part, part.open("wb") as stream:
        for chunk in chunks:
            stream.write(packer.compress(chunk) if packer else chunk)
        if packer:
            stream.write(packer.flush())


def _header_of(path: Path) -> Any:
    """Return a NIfTI's header; nibabel opens no file by itself whose suffix has both cases, ``.Nii.gz``."""
    from nibabel import Nifti1Header, Nifti2Header

    with gzip.open(path) if path.name.lower().endswith(".gz") else path.open("rb") as stream:
        is_second = Nifti2Header.may_contain_header(stream.read(Nifti2Header.sizeof_hdr))
        stream.seek(0)
        return (Nifti2Header if is_second else Nifti1Header).from_fileobj(stream)


def _chunks(labels: np.ndarray) -> Iterator[memoryview]:
    """Give the voxels in NIfTI's order, the first axis fastest, without a copy where they lie so."""
    planes = max(1, CHUNK_BYTES // max(1, labels[..., :1].nbytes))
    for start in range(0, labels.shape[-1], planes):
        block = np.ascontiguousarray(labels[..., start : start + planes].T)
        yield block.reshape(-1).view(np.uint8).data
