"""Voxels that no file holds, a caller's own, judged by what files are judged by."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from medseg.errors import InputError
from medseg.read.channels import joined
from medseg.read.grid import check_axes, shape_3d
from medseg.read.volume import Volume, check_affine, check_fits
from medseg.read.voxels import result_dtype, to_voxels


def volume_of_array(array: Any, affine: Any, name: object = "the array") -> Volume:
    """Return an array as the volume that a NIfTI file of the same voxels and affine is read as.

    Parameters
    ----------
    array
        Real numbers, (I, J, K); as in a file a third axis may be left out, and further ones be of length one.
    affine
        4×4, voxel index to RAS+ mm.
    name
        Of the array, for messages.

    Returns
    -------
    Volume
        Its array is the given one where nothing had to be done; `codes` may hold `GEOMETRY_SINGLE_SLICE` and
        `IMAGE_CONSTANT`.

    Raises
    ------
    InputError
        `FILE_TOO_LARGE`, `GEOMETRY_BAD_AFFINE`, `GEOMETRY_NOT_3D`, `GEOMETRY_SHEARED`, `IMAGE_EMPTY`,
        `IMAGE_NOT_FINITE`, `IMAGE_NOT_SCALAR`.
    """
    array = np.asarray(array)
    if array.dtype.kind not in "iuf":
        raise InputError(
            "IMAGE_NOT_SCALAR",
            f"{name} is of type {array.dtype.name}; integers or floating-point numbers are needed: convert it to "
            "a scalar image",
        )
    array = array.reshape(shape_3d(array.shape, name))
    affine = _numbers(affine, name)
    check_axes(affine, name)
    stored = array.dtype.newbyteorder("=")
    if result_dtype(stored) != array.dtype or not (array.flags.c_contiguous or array.flags.f_contiguous):
        check_fits(2 * array.size * result_dtype(stored).itemsize, name)
        array = np.asarray(array, stored, order="K" if array.flags.f_contiguous else "C")
    voxels, codes = to_voxels(array, str(name))
    if 1 in voxels.shape:
        codes = ("GEOMETRY_SINGLE_SLICE", *codes)
    return Volume(voxels, affine, codes=codes)


def checked(volume: Volume) -> Volume:
    """Return a volume that a caller may have made, checked as `volume_of_array` checks.

    It keeps what else it says.

    Raises
    ------
    InputError
        As `volume_of_array`.
    """
    first, *further = [volume_of_array(array, volume.affine, "the volume") for array in volume.channels]
    found = joined([first, *further])
    codes = tuple(dict.fromkeys((*volume.codes, *found.codes)))
    return replace(volume, array=found.array, affine=found.affine, codes=codes, further=found.further)


def _numbers(affine: Any, name: object) -> np.ndarray:
    try:
        affine = np.asarray(affine, np.float64)
    except (TypeError, ValueError) as error:
        raise InputError("GEOMETRY_BAD_AFFINE", f"{name}: its affine is no 4×4 array of numbers") from error
    check_affine(affine, name)
    return affine
