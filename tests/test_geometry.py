"""Affines, corners and axes by hand, and against nibabel and SimpleITK."""

import itertools

import numpy as np
import pytest
import SimpleITK
from hypothesis import given
from hypothesis import strategies as st
from nibabel.affines import voxel_sizes
from oracles.dicom_series import right_handed, rotation

from medseg import geometry

OBLIQUE = np.eye(4)
OBLIQUE[:3, :3] = rotation((1, 2, 3), 0.4) * (0.7, 1.3, 2.9)
OBLIQUE[:3, 3] = -31.4, 15.9, 26.5
SHAPE = (6, 7, 5)


def test_spacings_are_the_lengths_of_the_steps():
    np.testing.assert_allclose(geometry.spacing_mm_of(OBLIQUE), (0.7, 1.3, 2.9))
    np.testing.assert_allclose(geometry.spacing_mm_of(OBLIQUE), voxel_sizes(OBLIQUE))
    assert geometry.spacing_mm_of(np.array([[0, 3, 9], [-4, 0, 9], [0, 0, 1.0]])) == (4, 3)


@pytest.mark.parametrize(
    ("signs", "order", "codes"),
    [((1, 1, 1), (0, 1, 2), "RAS"), ((-1, -1, 1), (0, 1, 2), "LPS"), ((1, -1, -1), (2, 0, 1), "IRP")],
)
def test_axes_are_named_by_where_they_run(signs, order, codes):
    affine = np.eye(4)
    affine[:3, :3] = np.diag(signs)[:, order]
    assert geometry.axis_codes(affine) == codes


def test_lps_and_ras_are_one_place():
    image = SimpleITK.Image(*SHAPE, SimpleITK.sitkInt16)
    image.SetDirection(rotation((1, 2, 3), 0.4).ravel())
    image.SetSpacing((0.7, 1.3, 2.9))
    image.SetOrigin((-31.4, 15.9, 26.5))
    ras = geometry.lps_to_ras(OBLIQUE)
    (point,) = geometry.to_world(ras, np.array([[1, 2, 3]]))
    np.testing.assert_allclose(point * (-1, -1, 1), image.TransformIndexToPhysicalPoint((1, 2, 3)))
    np.testing.assert_array_equal(geometry.lps_to_ras(ras), OBLIQUE)


def test_corners_are_the_outermost_voxels():
    found = {tuple(int(i) for i in corner) for corner in geometry.corners(SHAPE)}
    assert found == set(itertools.product((0, 5), (0, 6), (0, 4)))
    assert (geometry.corners((1, 1, 1)) == 0).all()


@given(begin=st.tuples(*[st.integers(-9, 9)] * 3), index=st.tuples(*[st.integers(-9, 9)] * 3))
def test_a_crop_leaves_every_voxel_where_it_was(begin, index):
    before = OBLIQUE.copy()
    crop = geometry.shifted(OBLIQUE, begin)
    (there,) = geometry.to_world(OBLIQUE, np.add([index], begin))
    np.testing.assert_allclose(geometry.to_world(crop, np.array([index])), [there], atol=1e-9)
    np.testing.assert_array_equal(OBLIQUE, before)


def test_how_far_two_grids_lie_apart():
    assert geometry.corners_apart_mm(OBLIQUE, SHAPE, OBLIQUE, SHAPE) == 0
    moved = OBLIQUE.copy()
    moved[:3, 3] += 3, 0, 4
    assert geometry.corners_apart_mm(OBLIQUE, SHAPE, moved, SHAPE) == pytest.approx(5)
    assert geometry.corners_apart_mm(np.eye(4), SHAPE, np.diag([1, 1, 1.5, 1]), SHAPE) == pytest.approx(4 * 0.5)
    assert geometry.corners_apart_mm(np.eye(4), SHAPE, np.eye(4), (6, 7, 8)) == pytest.approx(3)


@pytest.mark.parametrize("axes", right_handed())
def test_parallel_axes_are_found_in_any_order_and_direction(axes):
    step = np.eye(4)
    step[:3, :3] = axes * (2, 0.5, 1)
    wanted = [int(np.flatnonzero(axes[:, axis])[0]) for axis in range(3)]
    np.testing.assert_array_equal(geometry.parallel_axes(step, SHAPE, 0.01), wanted)


def test_an_axis_may_stray_by_the_tolerance_from_end_to_end():
    step = np.eye(4)
    step[0, 2] = 0.01  # 0.05 voxels over the 5 of the third axis
    assert geometry.parallel_axes(step, SHAPE, 0.051) is not None
    assert geometry.parallel_axes(step, SHAPE, 0.049) is None
    step[:3, :3] = rotation((0, 0, 1), np.pi / 4)
    assert geometry.parallel_axes(step, SHAPE, 0.5) is None
    step[:3, :3] = [[1, 1, 0], [0, 0, 0], [0, 0, 1]]  # two axes along one
    assert geometry.parallel_axes(step, SHAPE, 100) is None
