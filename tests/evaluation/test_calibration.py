"""The calibration error of a case, from the probabilities beside its prediction."""

import itertools
import math

import numpy as np
import pytest
from oracles.dicom_series import rotation

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


def by_search(probability, grid, reference, affine):
    """Return the error over the box around both, each voxel of a far larger grid looked up on its own."""
    pad = 12
    wide = np.pad(np.asarray(probability, np.float64), pad)
    indices = np.argwhere(np.ones(wide.shape, bool)) - pad
    places = (np.c_[indices, np.ones(len(indices))] @ (np.linalg.inv(affine) @ grid).T)[:, :3]
    nearest = np.floor(np.round(places, 6) + 0.5).astype(int)  # halfway, the next one
    inside = ((nearest >= 0) & (nearest < reference.shape)).all(axis=1)
    there = np.zeros(len(indices), bool)
    there[inside] = reference[tuple(nearest[inside].T)] == 1
    there = there.reshape(wide.shape)
    filled = np.argwhere(there | (wide > 0))
    box = tuple(slice(low, high + 1) for low, high in zip(filled.min(axis=0), filled.max(axis=0), strict=True))
    return calibration_error(wide[box].astype(np.float32), there[box])


FINER = np.diag([1 / 3, 1 / 2, 1 / 5, 1.0])
WORLD = np.eye(4)
WORLD[:3, :3], WORLD[:3, 3] = rotation((1, 2, 3), 0.4), (-31.4, 15.9, 26.5)
HALFWAY = np.eye(4)
HALFWAY[:3, 3] = 1 / 2, 1 / 2, 1 / 2


@pytest.mark.parametrize("signs", list(itertools.product((1, -1), repeat=3)))
@pytest.mark.parametrize("first", range(2))
@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("halfway", [False, True])
def test_the_box_holds_the_reference_to_the_faces_of_its_outermost_voxels(tmp_path, signs, first, turned, halfway):
    """On a finer grid a voxel is several, and those on a face belong to one of the two voxels beside it.

    Anywhere in the patient and oblique, so that places on a face are computed a digit off it.
    """
    flips = np.diag([*signs, 1.0])
    flips[:3, 3] = [n - 1 if sign < 0 else 0 for sign, n in zip(signs, (9, 7, 8), strict=True)]
    affine = WORLD @ AFFINE
    grid = affine @ (HALFWAY if halfway else np.eye(4)) @ FINER @ flips
    reference = np.zeros((4, 5, 3), np.uint8)
    reference[first : first + 2, first : first + 1, 1:] = 1
    if turned:
        grid = grid[:, [2, 0, 1, 3]]
    probability = np.random.default_rng(first).uniform(0.1, 1, (2, 3, 4)).astype(np.float16)
    write_probabilities(tmp_path / "a.probabilities.npz", {1: ([0, 0, 0], probability)}, grid)
    found = calibration_of(tmp_path / "a.nii.gz", reference, affine, [1])
    assert found[1] == pytest.approx(by_search(probability, grid, reference, affine), abs=1e-6)


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
