"""Label maps as NIfTI, on the very grid of their image."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from medseg.write.files import atomic

# What places a NIfTI's voxels (NIfTI-1.1, nifti1.h, METHODS 1 to 3), with the units it is written in
GRID_FIELDS = (
    "qform_code",
    "sform_code",
    *("quatern_b", "quatern_c", "quatern_d"),
    *("qoffset_x", "qoffset_y", "qoffset_z"),
    *("srow_x", "srow_y", "srow_z"),
)


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
        source: Any = nibabel.load(like).header
        for field in GRID_FIELDS:
            header[field] = source[field]
        header["pixdim"][:4] = source["pixdim"][:4]
        units = source.get_xyzt_units()[0]
        header.set_xyzt_units("mm" if units == "unknown" else units)
    with atomic(path) as part:
        nibabel.save(nibabel.Nifti1Image(labels, None, header), part)
