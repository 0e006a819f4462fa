"""Lesion-wise detection by hand and by brute force over SciPy's components."""

import nibabel
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import label

from medseg.metrics.lesions import match_lesions


def drawn(text):
    return np.array([[character == "#" for character in line.strip()] for line in text.split()])


@pytest.mark.parametrize(
    ("prediction", "reference", "expected"),
    [  # expected: lesions, predicted, found, false
        ("##.##.##", "##.##.##", (3, 3, 3, 0)),
        ("##......", "##.##.##", (3, 1, 1, 0)),  # two missed
        ("##.##.##", "##......", (1, 3, 1, 2)),  # two false
        ("#.#.#.##", "#####...", (1, 4, 1, 1)),  # a lesion in three pieces counts once; none is false
        ("########", "###..###", (2, 1, 2, 0)),  # a bridge finds both
        ("#####...", "###.#...", (2, 1, 2, 0)),  # a bridge that covers one and touches the other
        ("#...####", "##......", (1, 2, 1, 1)),
        ("....####", "##......", (1, 1, 0, 1)),
    ],
)
def test_by_hand(prediction, reference, expected):
    lesions, predicted, found, false = expected
    values = match_lesions(drawn(prediction), drawn(reference))
    assert (values["lesions"], values["lesions_predicted"]) == (lesions, predicted)
    assert values["lesion_recall"] == found / lesions
    assert values["lesion_precision"] == found / (found + false)
    assert values["lesion_f1"] == 2 * found / (found + false + lesions)


def test_corners_connect():
    flat = drawn("#.. .#. ..#")
    assert match_lesions(flat, flat)["lesions"] == 1
    assert match_lesions(flat, flat[:, ::-1])["lesion_f1"] == 1  # the middle voxel is shared
    diagonal = np.zeros((3, 3, 3), bool)
    diagonal[[0, 1, 2], [0, 1, 2], [0, 1, 2]] = True
    assert match_lesions(diagonal, diagonal)["lesions"] == 1


def test_empty_masks_are_counted():
    empty, full = np.zeros((4, 4, 4), bool), np.ones((4, 4, 4), bool)
    for prediction, reference, counts in ((empty, empty, (0, 0)), (full, empty, (0, 1)), (empty, full, (1, 0))):
        values = match_lesions(prediction, reference)
        assert (values["lesions"], values["lesions_predicted"]) == counts
        assert values["lesion_f1"] == values["lesion_precision"] == values["lesion_recall"] == 0


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32), st.booleans())
def test_against_brute_force(seed, flat):
    rng = np.random.default_rng(seed)
    shape = (12, 11) if flat else (7, 6, 8)
    prediction, reference = (rng.random(shape) < rng.uniform(0.02, 0.2) for _ in range(2))
    ours, n_ours = label(prediction, np.ones((3,) * len(shape)))
    theirs, n_theirs = label(reference, np.ones((3,) * len(shape)))
    found = sum(prediction[theirs == i].any() for i in range(1, n_theirs + 1))
    false = sum(not reference[ours == i].any() for i in range(1, n_ours + 1))
    values = match_lesions(prediction, reference)
    assert values == {
        "lesions": n_theirs,
        "lesions_predicted": n_ours,
        "lesion_precision": found / max(1, found + false),
        "lesion_recall": found / max(1, n_theirs),
        "lesion_f1": 2 * found / max(1, 2 * found + false + n_theirs - found),
    }
    swapped = match_lesions(prediction[..., ::-1], reference[..., ::-1])
    assert swapped == values


def test_the_organs_of_a_torso_are_found_in_themselves(real_data):
    labels = np.asarray(nibabel.load(real_data / "ct/torso_3mm_crop_labels117.nii.gz").dataobj)
    for i in np.unique(labels)[1:]:
        mask = labels == i
        values = match_lesions(mask, mask)
        assert values["lesions"] == values["lesions_predicted"] == label(mask, np.ones((3, 3, 3)))[1]
        assert values["lesion_f1"] == 1


def test_one_axis_is_refused():
    with pytest.raises(ValueError, match="2 or 3 axes, not 1"):
        match_lesions(np.ones(4, bool), np.ones(4, bool))
