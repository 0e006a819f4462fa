"""Offsets in a NIfTI-1 header, and files read twice: whole, and by their header alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from medseg.errors import InputError
from medseg.errors.problems import CODES
from medseg.read.nifti import read_nifti, scan_nifti

PATIENT = b"DOE^JANE 1970"
DIM, DATATYPE, PIXDIM, VOX_OFFSET, SLOPE, UNITS, DESCRIP = 40, 70, 76, 108, 112, 123, 148
QFORM_CODE, QUATERNION, SROW = 252, 256, 280  # offsets in a NIfTI-1 header (nifti1.h)


def refusal(path: Path, *, by_header: bool = True) -> str:
    """Return the code; scan and read must agree, say what to do, and quote nothing from the file."""
    with pytest.raises(InputError) as caught:
        read_nifti(path)
    error = caught.value
    assert error.code in CODES
    assert str(path) in str(error)
    assert "DOE" not in str(error)
    assert error.__cause__ is None
    assert error.__context__ is None or error.__suppress_context__
    if by_header:
        with pytest.raises(InputError) as scanned:
            scan_nifti(path)
        assert str(scanned.value) == str(error)
    else:
        scan_nifti(path)
    return error.code


def voxels(path: Path, *codes: str) -> np.ndarray:
    """Return the array; just these codes are tolerated, the array is the caller's own."""
    volume = read_nifti(path)
    assert volume.codes == codes
    assert volume.array.flags.owndata
    assert volume.array.flags.writeable
    assert volume.array.dtype.isnative
    header = scan_nifti(path)
    np.testing.assert_array_equal(header.affine, volume.affine)
    assert header.shape == volume.array.shape
    assert header.codes == tuple(code for code in codes if code != "IMAGE_CONSTANT")
    return volume.array
