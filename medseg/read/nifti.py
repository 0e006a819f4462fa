"""NIfTI to a `Volume`."""

from __future__ import annotations

import zlib
from pathlib import Path

import nibabel
import numpy as np
from nibabel.filebasedimages import ImageFileError

from medseg.errors import InputError
from medseg.read.volume import Volume, check_affine

SUFFIXES = (".nii.gz", ".nii")


def is_nifti(path: str | Path) -> bool:
    """Say whether the name is a NIfTI file's; hidden files (``._x.nii.gz`` of macOS archives) are not."""
    name = Path(path).name
    return name.endswith(SUFFIXES) and not name.startswith(".")


def open_nifti(path: Path) -> nibabel.Nifti1Image:
    """Open a NIfTI file by its header alone, or refuse it."""
    try:
        image = nibabel.load(path)
    except (ImageFileError, OSError, EOFError, ValueError, zlib.error) as error:
        raise _unreadable(path, error) from error
    if not isinstance(image, nibabel.Nifti1Image):
        raise InputError("FILE_UNREADABLE", f"{path} is no NIfTI file inside")
    if image.get_data_dtype().fields:
        raise InputError("IMAGE_NOT_SCALAR", f"{path} holds colours; a scalar image is needed")
    check_affine(image.affine, path)
    return image


def read_nifti(path: str | Path) -> Volume:
    """Read a NIfTI file; a file with two axes gets a third of length one.

    Raises
    ------
    InputError
        `FILE_UNREADABLE`, `IMAGE_NOT_SCALAR`, `IMAGE_NOT_FINITE`, `GEOMETRY_BAD_AFFINE`, `GEOMETRY_NOT_3D`.
    """
    path = Path(path)
    image = open_nifti(path)
    shape = image.shape[:3] + (1,) * (3 - len(image.shape[:3]))
    if int(np.prod(image.shape)) != int(np.prod(shape)):
        raise InputError("GEOMETRY_NOT_3D", f"{path} has shape {image.shape}; one volume a file is read: split it")
    try:
        array = np.asanyarray(image.dataobj).reshape(shape)
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise _unreadable(path, error) from error
    if array.dtype.kind == "f":
        array = array.astype(np.float32, copy=False)
        if not np.isfinite(array).all():
            raise InputError("IMAGE_NOT_FINITE", f"{path} holds NaN or infinite voxels; replace them first")
    return Volume(array=array, affine=np.asarray(image.affine, dtype=np.float64), source=(path,))


def _unreadable(path: Path, error: Exception) -> InputError:
    return InputError("FILE_UNREADABLE", f"{path} cannot be read as NIfTI ({type(error).__name__}: {error})")
