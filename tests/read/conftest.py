"""NIfTI files with any field of their header set."""

import gzip
import struct

import nibabel
import numpy as np
import pytest
from oracles.nifti_files import PATIENT


@pytest.fixture
def file(tmp_path):
    """Write NIfTI-1 with fields set by ``{offset: (struct format, *values)}``; its texts name a patient."""

    def write(array=None, fields=(), name="x.nii", affine=None, kind=nibabel.Nifti1Image, more=b""):
        array = np.arange(60, dtype=np.int16).reshape(3, 4, 5) if array is None else array
        image = kind(array, np.eye(4) if affine is None else affine, dtype=array.dtype)
        for field in ("descrip", "aux_file", "intent_name"):
            image.header[field] = PATIENT
        data = bytearray(image.to_bytes())
        for offset, (layout, *values) in dict(fields).items():
            struct.pack_into("<" + layout, data, offset, *values)
        path = tmp_path / name
        path.write_bytes(gzip.compress(bytes(data) + more, 1) if name.endswith(".gz") else bytes(data) + more)
        return path

    return write
