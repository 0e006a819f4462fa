"""The calibration error of a case, from the probabilities beside its prediction."""

import math

import numpy as np
import pytest

from medseg import InputError, evaluate
from medseg.evaluation.calibration import calibration_of
from medseg.metrics.calibration import calibration_error
from medseg.write.probabilities import write_probabilities

AFFINE = np.diag([1.0, -2.0, 1.5, 1.0])
GRID = AFFINE @ np.diag([2.0, 1.0, 1.0, 1.0])  # the network's: every second voxel of the first axis
RNG = np.random.default_rng(0)
REFERENCE = np.zeros((12, 8, 6), np.uint8)
REFERENCE[4:10, 2:6, 1:5] = 1
PROBABILITY = np.zeros((6, 8, 6), np.float16)
PROBABILITY[1:4, 1:5, 1:4] = RNG.uniform(0.01, 1, (3, 4, 3))


@pytest.fixture
def prediction(tmp_path):
    write_probabilities(tmp_path / "a.probabilities.npz", {1: ([1, 1, 1], PROBABILITY[1:4, 1:5, 1:4])}, GRID)
    return tmp_path / "a.nii.gz"


def test_by_hand_on_the_network_s_grid(prediction):
    """The reference's voxels 4, 6, 8 stand at 2, 3, 4; both together reach from 1 to 4, 1 to 5 and 1 to 4."""
    box = (slice(1, 5), slice(1, 6), slice(1, 5))
    by_hand = calibration_error(PROBABILITY[box].astype(np.float32), (REFERENCE[::2] == 1)[box])
    found = calibration_of(prediction, REFERENCE, AFFINE, [1])
    assert found == {1: pytest.approx(by_hand, abs=1e-6)}
    assert by_hand > 0.1


def test_the_field_of_view_does_not_matter(prediction):
    wide = np.pad(REFERENCE, 10)
    shifted = AFFINE.copy()
    shifted[:3, 3] -= AFFINE[:3, :3] @ [10, 10, 10]
    narrow = calibration_of(prediction, REFERENCE, AFFINE, [1])
    assert calibration_of(prediction, wide, shifted, [1]) == pytest.approx(narrow)


def test_certainty_that_is_right_has_no_error(tmp_path):
    mask = REFERENCE == 1
    write_probabilities(tmp_path / "a.probabilities.npz", {1: ([0, 0, 0], mask.astype(np.float16))}, AFFINE)
    assert calibration_of(tmp_path / "a.nii.gz", REFERENCE, AFFINE, [1]) == {1: 0}


def test_labels_without_probabilities(prediction):
    """Label 2 is missed: probability 0 in a box that it fills. Label 3 is nowhere. Label 1 is invented."""
    found = calibration_of(prediction, np.where(REFERENCE == 1, 2, 0), AFFINE, [1, 2, 3])
    assert found[1] == pytest.approx(float(PROBABILITY[1:4, 1:5, 1:4].mean(dtype=np.float64)), abs=1e-4)
    assert found[2] == 1
    assert math.isnan(found[3])


@pytest.mark.usefixtures("prediction")
def test_probabilities_that_are_missing_or_damaged_are_named(save, tmp_path):
    for folder in ("predictions", "labels"):
        for name in "ab":
            save(f"{folder}/{name}.nii.gz", REFERENCE, AFFINE)
    there = tmp_path / "predictions/a.probabilities.npz"
    there.write_bytes((tmp_path / "a.probabilities.npz").read_bytes())

    def refusal():
        with pytest.raises(InputError) as caught:
            evaluate(tmp_path / "predictions", tmp_path / "labels", tmp_path / "out", metrics="ece")
        return str(caught.value)

    assert "PROBABILITIES_MISSING: " in refusal()
    assert "b.probabilities.npz does not exist, and the metric ece needs it; predict with" in refusal()
    (tmp_path / "predictions/b.nii.gz").unlink()
    there.write_bytes(there.read_bytes()[:-30])
    assert "FILE_UNREADABLE" in refusal()
