"""NIfTI headers: what is none, where voxels begin, and shapes that are no volume."""

import gzip

import nibabel
import numpy as np
import pytest
from oracles.nifti_files import (
    DATATYPE,
    DIM,
    PATIENT,
    PIXDIM,
    QFORM_CODE,
    VOX_OFFSET,
    refusal,
    voxels,
)

from medseg.read.nifti import read_nifti


def test_what_is_no_nifti_is_unreadable(file, tmp_path):
    path = tmp_path / "text.nii"
    path.write_text("not an image " * 60)
    assert refusal(path) == "FILE_UNREADABLE"
    (tmp_path / "empty.nii.gz").write_bytes(b"")
    assert refusal(tmp_path / "empty.nii.gz") == "FILE_TRUNCATED"
    assert refusal(tmp_path / "missing.nii") == "FILE_MISSING"
    (tmp_path / "folder.nii").mkdir()
    assert refusal(tmp_path / "folder.nii") == "FILE_UNREADABLE"
    for wrong, content in (("plain.nii.gz", file().read_bytes()), ("packed.nii", gzip.compress(b"x"))):
        (tmp_path / wrong).write_bytes(content)
        assert refusal(tmp_path / wrong) == "FILE_UNREADABLE"
    for magic in (b"ni1\0", b"\0\0\0\0"):  # half of a pair; Analyze
        assert refusal(file(fields={344: ("4s", magic)})) == "FILE_UNREADABLE"


@pytest.mark.parametrize("offset", [0, 4, 351, 352.5, -352, np.nan, np.inf, 1e30, 2**27])
def test_voxels_begin_after_the_header(file, offset):
    assert refusal(file(fields={VOX_OFFSET: ("f", offset)})) == "FILE_UNREADABLE"


def test_an_extension_is_skipped(file):
    image = nibabel.load(file())
    image.header.extensions.append(nibabel.nifti1.Nifti1Extension("comment", PATIENT * 1000))
    for name in ("e.nii", "e.nii.gz"):
        path = file().with_name(name)
        nibabel.save(image, path)
        np.testing.assert_array_equal(voxels(path), np.asarray(image.dataobj))


@pytest.mark.parametrize(
    ("dims", "code"),
    [
        ((4, 3, 4, 5, 2), "GEOMETRY_NOT_3D"),
        ((5, 3, 4, 5, 1, 3), "GEOMETRY_NOT_3D"),
        ((1, 60), "GEOMETRY_NOT_3D"),
        ((3, 3, 0, 5), "IMAGE_EMPTY"),
        ((0,), "IMAGE_EMPTY"),
        ((3, 3, -4, 5), "FILE_UNREADABLE"),
        ((9, 3, 4, 5), "FILE_UNREADABLE"),
        ((-1, 3, 4, 5), "FILE_UNREADABLE"),
        ((7, *[32767] * 7), "GEOMETRY_NOT_3D"),
    ],
)
def test_shapes_that_are_no_volume(file, dims, code):
    assert refusal(file(fields={DIM: (f"{len(dims)}h", *dims)})) == code


def test_axes_of_length_one(file):
    array = np.arange(60, dtype=np.int16).reshape(3, 4, 5)
    np.testing.assert_array_equal(voxels(file(array[..., None, None])), array)
    slice_ = array[:, :, 0]
    for given_, fields in ((slice_, {}), (slice_[..., None], {}), (slice_, {92: ("f", 0)})):
        np.testing.assert_array_equal(voxels(file(given_, fields), "GEOMETRY_SINGLE_SLICE"), slice_[..., None])
    flat = file(slice_, {QFORM_CODE: ("hh", 1, 0), PIXDIM: ("4f", 1, 2, 2, 0)})
    assert read_nifti(flat).spacing_mm == (2, 2, 1)  # a 2D image need not say how thick it is


@pytest.mark.parametrize("number", [32, 128, 1536, 1792, 2048, 2304])
def test_colours_and_complex_numbers_are_not_scalar(file, number):
    assert refusal(file(fields={DATATYPE: ("h", number)})) == "IMAGE_NOT_SCALAR"


@pytest.mark.parametrize("number", [0, 1, 3, -4, 255])
def test_unknown_types_are_unreadable(file, number):
    assert refusal(file(fields={DATATYPE: ("h", number)})) == "FILE_UNREADABLE"
