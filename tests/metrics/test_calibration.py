"""Expected calibration error by hand, by brute force and against MONAI's."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.metrics import CalibrationErrorMetric

from medseg.metrics import calibration
from medseg.metrics.calibration import calibration_error


def test_by_hand():
    reference = np.array([True, True, True, False, False, False, False, False, False, False])
    assert calibration_error(np.full(10, 0.3), reference) == pytest.approx(0, abs=1e-15)
    assert calibration_error(np.full(10, 0.8), reference) == pytest.approx(0.5)
    assert calibration_error(reference.astype(float), reference) == 0
    assert calibration_error(1.0 - reference, reference) == 1
    two = np.array([0.9, 0.9, 0.4, 0.4, 0, 0, 0, 0, 0, 0])  # 0.2 too unsure of two, 0.2 of four; sure of the rest
    assert calibration_error(two, reference) == pytest.approx((2 * 0.1 + abs(0.8 - 1)) / 10)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32), st.sampled_from([1, 2, 10, 15]), st.sampled_from([np.float16, np.float32, np.float64])
)
def test_against_brute_force_and_monai(seed, bins, dtype):
    rng = np.random.default_rng(seed)
    probability = np.append(rng.random((5, 6, 7)) ** 2, [0, 1, 0.5]).astype(dtype)
    reference = rng.random(probability.shape) < probability
    expected = 0.0
    for b in range(bins):
        p = probability.astype(float)
        inside = (p > b / bins) & (p <= (b + 1) / bins) | ((b == 0) & (p == 0))
        if inside.any():
            expected += inside.mean() * abs(p[inside].mean() - reference[inside].mean())
    value = calibration_error(probability, reference, bins)
    assert value == pytest.approx(expected, abs=1e-12)
    monai = CalibrationErrorMetric(num_bins=bins)
    monai(*(torch.from_numpy(np.float32(a))[None, None] for a in (probability, reference)))
    if bins > 2:  # a probability on an edge goes to one bin or the other in float32
        assert value == pytest.approx(float(monai.aggregate()), abs=0.02)


def test_chunks_and_memory_order_change_nothing(monkeypatch):
    rng = np.random.default_rng(0)
    probability = rng.random((20, 30, 40)).astype(np.float16)
    reference = rng.random(probability.shape) < 0.5
    whole = calibration_error(probability, reference)
    monkeypatch.setattr(calibration, "CHUNK_VOXELS", 1000)
    fortran = [np.asfortranarray(a) for a in (probability, reference)]
    for arrays in ((probability, reference), fortran, (fortran[0], reference)):
        assert calibration_error(*arrays) == pytest.approx(whole, abs=1e-14)


def test_many_half_precision_probabilities_are_summed_exactly():
    probability = np.full((300, 300, 30), 0.1, np.float16)  # their float16 sum is stuck at 256
    reference = np.zeros(probability.shape, bool)
    assert calibration_error(probability, reference) == pytest.approx(float(np.float16(0.1)), rel=1e-12)


def test_background_dilutes_it():
    """Why it must be compared on the same field of view."""
    probability, reference = np.full((4, 4), 0.9), np.zeros((4, 4), bool)
    wide = [np.pad(a, 6) for a in (probability, reference)]
    assert calibration_error(*wide) == pytest.approx(calibration_error(probability, reference) / 16)


@pytest.mark.parametrize("wrong", [-0.1, 1.1, 7.0, np.nan])
def test_what_is_no_probability_is_refused(wrong):
    with pytest.raises(ValueError, match=r"must lie in \[0, 1\]"):
        calibration_error(np.array([0.5, wrong]), np.array([True, False]))


def test_shapes_must_agree():
    with pytest.raises(ValueError, match="shape"):
        calibration_error(np.zeros((2, 3)), np.zeros((3, 2), bool))
    with pytest.raises(ValueError, match="shape"):
        calibration_error(np.zeros((0, 3)), np.zeros((0, 3), bool))
