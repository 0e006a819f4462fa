"""A component is deleted only where that makes the mean Dice rise."""

import numpy as np
import pytest

from medseg.cross_validation.postprocessing import choose_components


def case_of(save, name, predicted, reference):
    maps = {"prediction": predicted, "label": reference}
    paths = {key: str(save(f"{key}/{name}.nii.gz", array)) for key, array in maps.items()}
    return {"id": name, "image": paths["label"], **paths}


def label_map(*boxes):
    array = np.zeros((12, 12, 12), np.uint8)
    for label, low, high in boxes:
        array[low:high, 2:6, 2:6] = label
    return array


def test_a_false_island_goes_and_two_true_parts_stay(save):
    reference = label_map((1, 0, 3), (2, 3, 5), (2, 8, 10))
    predicted = label_map((1, 0, 3), (2, 3, 5), (2, 8, 10), (1, 6, 7))
    chosen, tried = choose_components([case_of(save, "a", predicted, reference)], [1, 2])
    assert chosen == [1]
    assert tried[0] == ([], pytest.approx((6 / 7 + 1) / 2))
    assert {str(choice): dice for choice, dice in tried}["[1]"] == pytest.approx(1)


def test_all_foreground_is_one_structure(save):
    """The island is of both labels, which each alone have their largest part in it."""
    reference = label_map((1, 0, 2), (2, 2, 4))
    predicted = label_map((1, 0, 2), (2, 2, 4), (1, 7, 8))
    chosen, _ = choose_components([case_of(save, "a", predicted, reference)], [1, 2])
    assert chosen == [[1, 2]]


def test_where_nothing_rises_nothing_is_chosen(save):
    same = label_map((1, 0, 2), (1, 5, 7))
    assert choose_components([case_of(save, "a", same, same)], [1])[0] == []
