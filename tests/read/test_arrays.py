"""A caller's own voxels are read, or refused, as a file that holds them is."""

import nibabel
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from project import code_of

from medseg import read_volume
from medseg.read import Volume, checked, volume_of_array

SHEARED = np.eye(4)
SHEARED[0, 1] = 0.1
PLANE = np.diag([1.0, 1.0, 0.0, 1.0])
SMALL = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
TYPES = ["uint8", "int8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float32", "float64"]


def with_one(value, dtype=np.float32):
    array = SMALL.astype(dtype)
    array[1, 1, 1] = value
    return array


@settings(max_examples=40, deadline=None)
@given(
    dtype=st.sampled_from(TYPES),
    shape=arrays.array_shapes(min_dims=2, max_dims=5, min_side=1, max_side=4),
    order=st.permutations(range(3)),
    backwards=st.booleans(),
    big_endian=st.booleans(),
)
def test_an_array_is_what_a_nifti_file_of_it_is(tmp_path_factory, dtype, shape, order, backwards, big_endian):
    array = np.random.default_rng(0).integers(0, 100, shape).astype(dtype)
    if array.ndim == 3:  # a view, in no order of memory
        array = array.transpose(order)[:: -1 if backwards else 1]
    affine = np.diag([1.0, 2.0, 3.0, 1.0])
    path = tmp_path_factory.mktemp("arrays") / "a.nii"
    nibabel.save(nibabel.Nifti1Image(array, affine, dtype=dtype), path)
    given_array = array.astype(array.dtype.newbyteorder(">")) if big_endian else array
    if len([n for n in shape[3:] if n > 1]) or len(shape) == 1:
        assert code_of(volume_of_array, given_array, affine) == code_of(read_volume, path)
        return
    expected = read_volume(path)
    found = volume_of_array(given_array, affine)
    np.testing.assert_array_equal(found.array, expected.array)
    assert found.array.dtype == expected.array.dtype
    assert found.array.dtype.isnative
    assert found.codes == expected.codes
    np.testing.assert_allclose(found.affine, expected.affine)


REFUSED = [
    ("IMAGE_NOT_FINITE", with_one(np.nan), np.eye(4)),
    ("IMAGE_NOT_FINITE", with_one(np.inf), np.eye(4)),
    ("IMAGE_NOT_FINITE", with_one(1e300, np.float64), np.eye(4)),
    ("IMAGE_EMPTY", np.zeros((4, 0, 4)), np.eye(4)),
    ("IMAGE_EMPTY", np.array(3.0), np.eye(4)),
    ("GEOMETRY_NOT_3D", np.zeros(5), np.eye(4)),
    ("GEOMETRY_NOT_3D", np.zeros((4, 4, 4, 3)), np.eye(4)),
    ("IMAGE_NOT_SCALAR", SMALL + 1j, np.eye(4)),
    ("IMAGE_NOT_SCALAR", SMALL > 3, np.eye(4)),
    ("IMAGE_NOT_SCALAR", SMALL.astype(object), np.eye(4)),
    ("IMAGE_NOT_SCALAR", np.zeros((2, 3, 4), [("r", "u1"), ("g", "u1"), ("b", "u1")]), np.eye(4)),
    ("IMAGE_NOT_SCALAR", SMALL.astype(str), np.eye(4)),
    ("GEOMETRY_SHEARED", SMALL, SHEARED),
    ("GEOMETRY_BAD_AFFINE", SMALL, PLANE),
    ("GEOMETRY_BAD_AFFINE", SMALL, np.diag([500.0, 1.0, 1.0, 1.0])),
    ("GEOMETRY_BAD_AFFINE", SMALL, np.full((4, 4), np.nan)),
    ("GEOMETRY_BAD_AFFINE", SMALL, np.eye(3)),
    ("GEOMETRY_BAD_AFFINE", SMALL, np.ones((4, 4)) + np.eye(4)),
    ("GEOMETRY_BAD_AFFINE", SMALL, "RAS"),
]


@pytest.mark.parametrize(("code", "array", "affine"), REFUSED)
def test_what_a_file_is_refused_for_an_array_is_too(code, array, affine):
    assert code_of(volume_of_array, array, affine) == code


def test_a_volume_made_by_hand_is_checked_and_keeps_what_it_says():
    constant = Volume(np.full((3, 3, 1), 7, np.float64), np.eye(4), modality="MR", codes=("GEOMETRY_NO_FORM",))
    found = checked(constant)
    assert found.codes == ("GEOMETRY_NO_FORM", "GEOMETRY_SINGLE_SLICE", "IMAGE_CONSTANT")
    assert found.modality == "MR"
    assert found.array.dtype == np.float32
    assert checked(found).codes == found.codes
    assert code_of(checked, Volume(with_one(np.nan), np.eye(4))) == "IMAGE_NOT_FINITE"
    assert code_of(checked, Volume(SMALL, SHEARED)) == "GEOMETRY_SHEARED"


def test_voxels_that_need_nothing_are_not_copied():
    assert np.shares_memory(volume_of_array(SMALL, np.eye(4)).array, SMALL)
