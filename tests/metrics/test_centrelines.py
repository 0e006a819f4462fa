"""clDice by hand and against MONAI's skeleton and loss."""

import nibabel
import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from monai.losses import SoftclDiceLoss
from monai.losses.cldice import soft_skel
from scipy.ndimage import gaussian_filter

from medseg.metrics.centrelines import centreline_dice, skeleton


def masks(seed, shape):
    rng = np.random.default_rng(seed)
    blobs = gaussian_filter(rng.standard_normal((2, *shape)), (0, *[rng.uniform(0.3, 1.5)] * len(shape)))
    return blobs > np.quantile(blobs, rng.uniform(0.2, 0.9))


def by_monai(mask):
    """As MONAI takes nothing from the border of an array, one layer of outside is put around it."""
    padded = torch.from_numpy(np.pad(mask, 1))[None, None].float()
    thin = soft_skel(padded, max(mask.shape))[0, 0].numpy() > 0
    return thin[(slice(1, -1),) * mask.ndim]


def test_a_vessel_with_a_gap_and_a_false_branch():
    reference, prediction = np.zeros((2, 5, 12), bool)
    reference[2, 1:11] = True
    prediction[2, [1, 2, 3, 4, 7, 8, 9, 10]] = True  # 8 of 10 found
    prediction[0, 5:7] = True  # 8 of 10 right
    assert centreline_dice(prediction, reference) == pytest.approx(0.8)
    prediction[0, 5:7] = False
    assert centreline_dice(prediction, reference) == pytest.approx(2 * 0.8 / 1.8)


def test_a_pipe():
    """Of 7 x 7 voxels: its clDice does not see a thinner wall, and sees a branch that its Dice hardly does."""
    reference = np.zeros((9, 30, 30), bool)
    reference[1:8, 1:8, 1:29] = True
    assert skeleton(reference)[4, 4, 4:26].all()  # the middle of a thick mask, which fewer steps would miss
    thinner = np.zeros_like(reference)
    thinner[2:7, 2:7, 1:29] = True
    assert centreline_dice(thinner, reference) == 1
    branched = reference.copy()
    branched[4, 8:, 15] = True  # 22 voxels long, 1 thin
    dice = 2 * reference.sum() / (reference.sum() + branched.sum())
    assert dice > 0.99
    assert centreline_dice(branched, reference) < 0.95


def test_nothing_shared_is_zero():
    reference, prediction = np.zeros((2, 6, 6, 6), bool)
    reference[1, 1, 1] = prediction[4, 4, 4] = True
    assert centreline_dice(prediction, reference) == 0


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from([(9, 14), (1, 7), (8, 9, 7), (5, 1, 6), (14, 13, 12)]))
def test_against_monai(seed, shape):
    prediction, reference = masks(seed, shape)
    assume(prediction.any() and reference.any())
    value = centreline_dice(prediction, reference)
    np.testing.assert_array_equal(skeleton(reference), by_monai(reference))
    tensors = [torch.from_numpy(np.pad(mask, 1))[None, None].float() for mask in (prediction, reference)]
    loss = SoftclDiceLoss(iter_=max(shape), smooth_nr=0, smooth_dr=0, smooth=1e-12)
    assert value == pytest.approx(1 - float(loss(*tensors)), abs=1e-6)
    assert 0 <= value <= 1
    assert value == centreline_dice(reference, prediction)
    assert value == centreline_dice(np.pad(prediction, 2), np.pad(reference, 2))
    assert centreline_dice(reference, reference) == 1


def test_real_masks_against_monai(real_data):
    for path in sorted((real_data / "Task04_Hippocampus/labelsTr").glob("*.nii.gz"))[:3]:
        mask = np.asarray(nibabel.load(path).dataobj) > 0
        np.testing.assert_array_equal(skeleton(mask), by_monai(mask))


def test_one_axis_is_refused():
    with pytest.raises(ValueError, match="2 or 3 axes, not 1"):
        centreline_dice(np.ones(4, bool), np.ones(4, bool))
