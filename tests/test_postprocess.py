"""Largest component, per label."""

import numpy as np

from medseg.postprocess import keep_largest_component


def test_only_the_largest_part_of_the_asked_labels_stays():
    labels = np.zeros((10, 10, 3), np.uint8)
    labels[0:3, 0:3, 0] = 1
    labels[3, 3, 1] = 1  # touches by a corner: 26-connected
    labels[8, 8, 0] = 1
    labels[6, 0, 0] = labels[6, 5:7, 0] = 2
    kept = keep_largest_component(labels, [1])
    assert (kept == 1).sum() == 10
    assert kept[8, 8, 0] == 0
    np.testing.assert_array_equal(kept == 2, labels == 2)
    assert (keep_largest_component(labels, [1, 2, 3]) == 2).sum() == 2
    assert labels[8, 8, 0] == 1  # the input is left alone
