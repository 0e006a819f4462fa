"""Boundary IoU by hand, by brute force, and what must not change it."""

import nibabel
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.ndimage import binary_erosion, distance_transform_edt

from medseg.metrics.boundaries import boundary_band, boundary_iou

SPACINGS = st.lists(st.sampled_from([0.5, 0.7, 1.0, 3.0]), min_size=3, max_size=3)


def brute_force_band(mask, spacing_mm, width_mm):
    """Every voxel against every voxel outside, one layer beyond the array included."""
    padded = np.pad(mask, 1)
    outside = np.argwhere(~padded) * spacing_mm
    band = np.zeros_like(padded)
    for index in np.argwhere(padded):
        near = np.linalg.norm(outside - index * np.asarray(spacing_mm), axis=1).min() <= width_mm + 1e-5
        faces = [tuple(index + step) for axis in np.eye(mask.ndim, dtype=int) for step in (axis, -axis)]
        band[tuple(index)] = near or any(not padded[face] for face in faces)
    return band[(slice(1, -1),) * mask.ndim]


@pytest.mark.parametrize(
    ("width_mm", "expected"),
    [
        (0.5, 0.0),  # never thinner than the outline; the rim of 3 x 3 and that of 5 x 5 share nothing
        (1.0, 0.0),
        (2.0, 8 / 25),  # the whole larger square but its middle voxel, the whole smaller one: 8 shared
        (3.0, 9 / 25),  # deeper than both: the IoU of the squares
    ],
)
def test_a_square_inside_a_larger_one(width_mm, expected):
    reference, prediction = np.zeros((2, 9, 9), bool)
    reference[2:7, 2:7] = True
    prediction[3:6, 3:6] = True
    assert boundary_iou(prediction, reference, (1, 1), width_mm) == expected


def test_thick_slices_keep_an_outline_of_one_voxel():
    mask = np.ones((5, 5, 5), bool)
    band = boundary_band(mask, (1, 1, 6), 2.0)
    assert band[:, :, [0, -1]].all()
    assert not band[2, 2, 1:-1].any()


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), SPACINGS, st.sampled_from([0.5, 1.0, 1.4, 2.1, 3.0]), st.booleans())
def test_against_brute_force(seed, spacing_mm, width_mm, flat):
    rng = np.random.default_rng(seed)
    shape = tuple(rng.integers(1, 8, 2 if flat else 3))
    spacing_mm = spacing_mm[: len(shape)]
    ours, theirs = rng.random((2, *shape)) < rng.uniform(0.3, 1.0)
    assume(ours.any() and theirs.any())
    a, b = (brute_force_band(mask, spacing_mm, width_mm) for mask in (ours, theirs))
    np.testing.assert_array_equal(boundary_band(ours, spacing_mm, width_mm), a)
    assert boundary_iou(ours, theirs, spacing_mm, width_mm) == (a & b).sum() / (a | b).sum()


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), SPACINGS)
def test_what_must_hold(seed, spacing_mm):
    rng = np.random.default_rng(seed)
    ours, theirs = rng.random((2, 6, 5, 4)) < 0.7
    value = boundary_iou(ours, theirs, spacing_mm, 1.4)
    assert 0 <= value <= 1
    assert value == boundary_iou(theirs, ours, spacing_mm, 1.4)
    assert value == boundary_iou(np.pad(ours, 2), np.pad(theirs, 2), spacing_mm, 1.4)
    assert value == boundary_iou(ours.transpose(2, 0, 1), theirs.transpose(2, 0, 1), np.roll(spacing_mm, 1), 1.4)
    assert boundary_iou(ours, ours, spacing_mm, 1.4) == 1
    whole = (ours & theirs).sum() / (ours | theirs).sum()
    assert boundary_iou(ours, theirs, spacing_mm, 100.0) == whole


def test_spacings_of_a_float32_affine_are_rounded_off():
    spacing_mm = np.full(3, 1.2, np.float32).astype(float)  # 1.2000000477
    mask = np.ones((9, 9, 9), bool)
    assert boundary_band(mask, spacing_mm, 2.4)[1, 4, 4]
    assert not boundary_band(mask, spacing_mm, 2.4)[2, 4, 4]


def test_real_masks_against_a_distance_transform(real_data):
    for path in sorted((real_data / "Task04_Hippocampus/labelsTr").glob("*.nii.gz"))[:5]:
        mask = np.asarray(nibabel.load(path).dataobj) > 0
        for spacing_mm, width_mm in (((1, 1, 1), 2.0), ((0.7, 1.3, 4.0), 2.6)):
            distance_mm = distance_transform_edt(np.pad(mask, 1), sampling=spacing_mm)[1:-1, 1:-1, 1:-1]
            outline = mask & ~binary_erosion(mask)
            expected = outline | (mask & (distance_mm <= width_mm))
            np.testing.assert_array_equal(boundary_band(mask, spacing_mm, width_mm), expected)
