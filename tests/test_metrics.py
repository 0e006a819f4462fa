"""Metrics against values worked out by hand, brute force and MONAI."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.metrics import compute_hausdorff_distance
from scipy.ndimage import gaussian_filter

from medseg.metrics import DEFAULT_METRICS, compare, hd95_mm


def test_two_of_three_voxels_found():
    reference = np.array([[1, 1, 1, 0, 0]])
    prediction = np.array([[0, 1, 1, 1, 1]])
    values = compare(prediction, reference, spacing_mm=(1, 1), labels=[1])[1]
    assert values["dice"] == 2 * 2 / (4 + 3)
    assert values["iou"] == 2 / 5
    assert values["precision"] == 2 / 4
    assert values["recall"] == 2 / 3
    assert values["volume_ml"] == pytest.approx(0.004)
    assert values["reference_volume_ml"] == pytest.approx(0.003)


def test_two_voxels_two_millimetres_apart():
    reference, prediction = np.zeros((5, 5, 5), int), np.zeros((5, 5, 5), int)
    reference[1, 2, 2] = prediction[1, 2, 3] = 1
    assert compare(prediction, reference, spacing_mm=(1, 1, 2), labels=[1])[1]["hd95_mm"] == 2.0


def test_hd95_is_the_larger_direction_and_forgets_the_farthest_twentieth():
    reference, prediction = np.zeros(41, int), np.zeros(41, int)
    reference[0] = 1
    prediction[0:41] = 0
    prediction[[0, 10]] = 1  # two boundary voxels, 0 and 10 mm from the reference
    assert hd95_mm(prediction > 0, reference > 0, (1.0,)) == pytest.approx(9.5)


@pytest.mark.parametrize(
    ("prediction", "reference", "dice", "hd95"),
    [
        ([0, 0, 0, 0], [0, 0, 0, 0], math.nan, math.nan),
        ([0, 0, 0, 0], [0, 1, 0, 0], 0.0, 8.0),  # missed: the diagonal, 4 voxels of 2 mm
        ([0, 1, 0, 0], [0, 0, 0, 0], 0.0, 8.0),  # invented
        ([0, 1, 0, 0], [0, 1, 0, 0], 1.0, 0.0),
    ],
)
def test_empty_masks(prediction, reference, dice, hd95):
    values = compare(np.array(prediction), np.array(reference), spacing_mm=(2.0,), labels=[1])[1]
    assert values["dice"] == pytest.approx(dice, nan_ok=True)
    assert values["hd95_mm"] == pytest.approx(hd95, nan_ok=True)


def blob(seed: int, shape: tuple[int, ...]) -> np.ndarray:
    noise = gaussian_filter(np.random.default_rng(seed).normal(size=shape), 1.5)
    return noise > np.quantile(noise, 0.8)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    spacing_mm=st.tuples(*[st.floats(0.3, 5)] * 3),
)
def test_hd95_equals_monai(seed, spacing_mm):
    a, b = blob(seed, (12, 15, 9)), blob(seed + 1, (12, 15, 9))
    theirs = compute_hausdorff_distance(
        torch.tensor(a)[None, None],
        torch.tensor(b)[None, None],
        include_background=True,
        percentile=95,
        spacing=list(spacing_mm),
    )
    assert hd95_mm(a, b, spacing_mm) == pytest.approx(theirs.item(), abs=1e-4)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_hd95_equals_brute_force(seed):
    a, b = blob(seed, (9, 8)), blob(seed + 1, (9, 8))

    def boundary(mask):
        padded = np.pad(mask, 1)
        inner = padded[1:-1, 2:] & padded[1:-1, :-2] & padded[2:, 1:-1] & padded[:-2, 1:-1]
        return np.argwhere(mask & ~inner) * (1.5, 0.7)

    apart = np.linalg.norm(boundary(a)[:, None] - boundary(b)[None], axis=-1)
    expected = max(np.percentile(apart.min(1), 95), np.percentile(apart.min(0), 95))
    assert hd95_mm(a, b, (1.5, 0.7)) == pytest.approx(expected, abs=1e-9)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_comparing_is_symmetric_where_it_should_be(seed):
    rng = np.random.default_rng(seed)
    a, b = rng.integers(0, 4, (6, 7, 5)), rng.integers(0, 4, (6, 7, 5))
    one = compare(a, b, spacing_mm=(1, 1, 3), labels=[1, 2, 3])
    two = compare(b, a, spacing_mm=(1, 1, 3), labels=[1, 2, 3])
    for label in (1, 2, 3):
        assert one[label]["dice"] == two[label]["dice"]
        assert one[label]["hd95_mm"] == two[label]["hd95_mm"]
        assert one[label]["precision"] == two[label]["recall"]


def test_wrong_calls_are_named():
    a = np.zeros((2, 2))
    with pytest.raises(ValueError, match="shape"):
        compare(a, np.zeros((2, 3)), spacing_mm=(1, 1), labels=[1])
    with pytest.raises(ValueError, match="spacings"):
        compare(a, a, spacing_mm=(1, 1, 1), labels=[1])
    with pytest.raises(ValueError, match="hd96"):
        compare(a, a, spacing_mm=(1, 1), labels=[1], metrics=("hd96",))
    assert set(compare(a, a, spacing_mm=(1, 1), labels=[1])[1]) == set(DEFAULT_METRICS)
