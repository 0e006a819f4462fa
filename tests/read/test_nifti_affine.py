"""Where NIfTI voxels lie: two forms that may disagree, and affines that span no grid."""

import nibabel
import numpy as np
import pytest
from oracles.nifti_files import PIXDIM, QFORM_CODE, QUATERNION, SROW, refusal, voxels

from medseg.read.nifti import read_nifti

FLIP = np.diag([-1.0, 1, 1, 1])


SHIFT = np.array([[1, 0, 0, 5.0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])


@pytest.mark.parametrize(
    ("qform", "outcome"),
    [(np.eye(4), ()), (SHIFT, "tolerated"), (FLIP, "refused"), (np.diag([1, 1, 1.1, 1]), "refused")],
)
def test_forms_may_disagree_in_place_alone(file, qform, outcome):
    image = nibabel.load(file())
    image.set_qform(qform, 1)
    path = file().with_name("forms.nii")
    nibabel.save(image, path)
    if outcome == "refused":
        assert refusal(path) == "GEOMETRY_FORMS_DISAGREE"
    else:
        voxels(path, *(("GEOMETRY_FORMS_DISAGREE",) if outcome else ()))
        np.testing.assert_array_equal(read_nifti(path).affine, np.eye(4))
    image.set_qform(qform, 0)  # a stale form whose code is 0 is not set
    nibabel.save(image, path)
    voxels(path)


def test_an_invalid_quaternion_matters_only_where_it_is_needed(file):
    bad = {QFORM_CODE: ("h", 1), QUATERNION: ("3f", 0.9, 0.9, 0.9)}
    voxels(file(fields=bad), "GEOMETRY_FORMS_DISAGREE")
    assert refusal(file(fields={**bad, 254: ("h", 0)})) == "GEOMETRY_BAD_AFFINE"
    negative = {QFORM_CODE: ("hh", 1, 0), PIXDIM: ("4f", 1, 1, -1, 1)}
    assert refusal(file(fields=negative)) == "GEOMETRY_BAD_AFFINE"


def test_qfac_0_counts_as_1(file):
    path = file(fields={QFORM_CODE: ("hh", 1, 0), PIXDIM: ("4f", 0, 1, 2, 3)})
    np.testing.assert_array_equal(read_nifti(path).affine, np.diag([1, 2, 3, 1.0]))


def test_without_any_form_the_voxel_size_stays(file):
    path = file(fields={QFORM_CODE: ("hh", 0, 0), PIXDIM: ("4f", 1, 1, 2, 3)})
    voxels(path, "GEOMETRY_NO_FORM")
    np.testing.assert_array_equal(read_nifti(path).affine, nibabel.load(path).affine)
    assert read_nifti(path).spacing_mm == (1, 2, 3)


@pytest.mark.parametrize(
    ("rows", "code"),
    [
        ([1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0], "GEOMETRY_BAD_AFFINE"),
        ([0] * 12, "GEOMETRY_BAD_AFFINE"),
        ([1, 1, 0, 0, 1, 1, 0, 0, 0, 0, 1, 0], "GEOMETRY_BAD_AFFINE"),
        ([1, 0, 0, np.nan, 0, 1, 0, 0, 0, 0, 1, 0], "GEOMETRY_BAD_AFFINE"),
        ([np.inf, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0], "GEOMETRY_BAD_AFFINE"),
        ([1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 700, 0], "GEOMETRY_BAD_AFFINE"),
        ([1e-4, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0], "GEOMETRY_BAD_AFFINE"),
        ([1, 0.01, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0], "GEOMETRY_SHEARED"),
        ([1, 0, 0, 0, 0, 1, 0.25, 0, 0, 0, 1, 0], "GEOMETRY_SHEARED"),
    ],
)
def test_an_affine_that_spans_no_grid_is_refused(file, rows, code):
    assert refusal(file(fields={SROW: ("12f", *rows)})) == code
    assert refusal(file(fields={SROW: ("12f", *rows), QFORM_CODE: ("h", 1)})) in (code, "GEOMETRY_FORMS_DISAGREE")


def test_rounding_is_no_shear(file):
    voxels(file(fields={SROW: ("12f", 1, 5e-4, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0)}))
