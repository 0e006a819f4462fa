"""Which ids label maps hold, whether they lie on one grid, and one brought to the grid of another."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from medseg.cases.label_maps import (
    as_labels,
    check_ids,
    check_same_grid,
    ids_in,
    on_same_grid,
    reaches_outside,
    to_grid,
)
from medseg.errors.exceptions import InputError
from medseg.read.volume import Volume

LABELS = np.random.default_rng(0).integers(0, 5, (5, 6, 7)).astype(np.uint8)
AFFINE = np.array([[0, -2.0, 0, 10], [1.5, 0, 0, -20], [0, 0, 3.0, 5], [0, 0, 0, 1]])


def nearest_by_hand(labels, affine, shape, onto):
    """Look up the old voxel that holds each new voxel's centre, one after the other."""
    result = np.zeros(shape, labels.dtype)
    for index in np.ndindex(*shape):
        place = (np.linalg.inv(affine) @ onto @ [*index, 1])[:3]
        old = np.floor(np.round(place, 6) + 0.5).astype(int)
        if (old >= 0).all() and (old < labels.shape).all():
            result[index] = labels[tuple(old)]
    return result


@settings(max_examples=60, deadline=None)
@given(
    st.permutations(range(3)),
    st.tuples(*[st.sampled_from([-1, 1])] * 3),
    st.tuples(*[st.sampled_from([0.5, 1, 1.3, 2])] * 3),
    st.tuples(*[st.integers(-4, 4)] * 3),
)
def test_parallel_grids_by_hand(order, signs, scales, shift):
    step = np.eye(4)
    step[:3, :3] = np.eye(3)[:, order] * np.multiply(signs, scales)
    step[:3, 3] = shift
    onto, shape = AFFINE @ step, (6, 4, 8)
    np.testing.assert_array_equal(
        to_grid(LABELS, AFFINE, shape, onto), nearest_by_hand(LABELS, AFFINE, shape, onto)
    )


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6))
def test_oblique_grids_by_hand(seed):
    rng = np.random.default_rng(seed)
    onto = np.eye(4)
    onto[:3, :3] = Rotation.random(rng=rng).as_matrix() * rng.uniform(0.8, 2.5, 3)
    onto[:3, 3] = (AFFINE @ [2, 3, 3, 1])[:3] - onto[:3, :3] @ [4, 4, 4]
    shape = (9, 9, 9)
    expected = nearest_by_hand(LABELS, AFFINE, shape, onto)
    assert expected.any()
    np.testing.assert_array_equal(to_grid(LABELS, AFFINE, shape, onto), expected)


@given(st.permutations(range(3)), st.tuples(*[st.booleans()] * 3))
def test_there_and_back_is_the_same_to_the_voxel(order, flips):
    turned = np.flip(LABELS.transpose(order), [axis for axis, flip in enumerate(flips) if flip])
    step = np.zeros((4, 4))
    step[3, 3] = 1
    for new, (old, flip) in enumerate(zip(order, flips, strict=True)):
        step[old, new], step[old, 3] = (-1, LABELS.shape[old] - 1) if flip else (1, 0)
    onto = AFFINE @ step
    np.testing.assert_array_equal(to_grid(LABELS, AFFINE, turned.shape, onto), turned)
    np.testing.assert_array_equal(to_grid(turned, onto, LABELS.shape, AFFINE), LABELS)


def test_beyond_the_old_grid_is_background_and_said():
    onto = AFFINE.copy()
    onto[:3, 3] += 2 * AFFINE[:3, 0]  # two voxels on along the first axis
    moved = to_grid(LABELS, AFFINE, LABELS.shape, onto)
    np.testing.assert_array_equal(moved[:3], LABELS[2:])
    assert not moved[3:].any()
    assert reaches_outside(LABELS.shape, onto, LABELS.shape, AFFINE)
    assert not reaches_outside((3, 6, 7), onto, LABELS.shape, AFFINE)
    assert not reaches_outside(LABELS.shape, AFFINE, LABELS.shape, AFFINE)


@pytest.mark.parametrize(
    ("dtype", "ids"),
    [
        (np.uint8, []),
        (np.uint8, [1, 2, 117]),
        (np.int16, [-1, 3]),
        (np.uint16, [1, 40000]),
        (np.int32, [-1, 70000]),
        (np.int64, [5, 2**40]),
    ],
)
def test_ids_are_numpy_s_unique_without_background(dtype, ids):
    labels = np.random.default_rng(0).choice(np.array([0, *ids]), (9, 8, 7)).astype(dtype)
    assert ids_in(labels) == set(np.unique(labels).tolist()) - {0} == set(ids)
    assert ids_in(np.asfortranarray(labels)[::2]) <= set(ids)


def test_fractions_are_no_labels():
    whole = as_labels(Volume(LABELS.astype(np.float32), AFFINE), "x.nii.gz")
    assert whole.dtype.kind == "i"
    np.testing.assert_array_equal(whole, LABELS)
    with pytest.raises(InputError, match=r"LABEL_NOT_INTEGER: x.nii.gz .*0.25"):
        as_labels(Volume(np.full((2, 2, 2), 0.25), AFFINE), "x.nii.gz")


def test_all_unknown_ids_are_named():
    check_ids([1, 2, 0], [1, 2, 3], "x.nii.gz")
    with pytest.raises(InputError, match=r"LABEL_UNKNOWN_ID: x.nii.gz holds label 7, 9; .*\[1, 2\]"):
        check_ids([9, 1, 7], [2, 1], "x.nii.gz")


def test_what_differs_between_two_grids_is_said():
    def refusal(shape=LABELS.shape, affine=AFFINE):
        with pytest.raises(InputError) as caught:
            check_same_grid("case", Volume(np.zeros(shape), affine), Volume(LABELS, AFFINE))
        assert caught.value.code == "GEOMETRY_LABEL_GRID"
        return str(caught.value)

    shifted = AFFINE.copy()
    shifted[:3, 3] += (3, 4, 0)
    assert "corners up to 5 mm apart" in refusal(affine=shifted)
    assert "shapes (5, 6, 8) and (5, 6, 7)" in refusal(shape=(5, 6, 8))
    assert "axes ALS and ALS" not in refusal(affine=shifted)
    flipped = AFFINE @ np.diag([-1, 1, 1, 1.0])
    assert "axes PLS and ALS" in refusal(affine=flipped)
    check_same_grid("case", Volume(LABELS, AFFINE + 1e-5 * np.eye(4)), Volume(LABELS, AFFINE))
    assert on_same_grid(Volume(LABELS, AFFINE), Volume(LABELS * 2, AFFINE))
