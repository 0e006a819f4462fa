"""TensorBoard's pictures: the worst slice, and each label in the colour that the bundle gives it."""

import numpy as np
from project import BUNDLES

from medseg.bundle import label_colours, read_metadata, segments_of
from medseg.training.pictures import overlay, slice_row

COLOURS = {1: (0, 0, 255), 2: (255, 0, 0)}


def test_tensorboard_s_row_shows_the_worst_slice():
    image = np.random.default_rng(0).random((6, 5, 4))
    reference = np.zeros((6, 5, 4), np.uint8)
    reference[1:4, 1:4] = 2
    prediction = reference.copy()
    prediction[1, 1:4, 2] = 0
    row = slice_row(image, reference, prediction, COLOURS)
    assert row.shape == (5, 18, 3)
    np.testing.assert_array_equal(row[:, 6:12], overlay(image[..., 2], reference[..., 2], COLOURS))
    assert not np.array_equal(row[:, 6:12], row[:, 12:])


def test_a_label_has_its_own_colour():
    labels = np.array([[0, 1], [2, 9]], np.uint8)
    picture = overlay(np.zeros((2, 2)), labels, COLOURS)  # black below
    np.testing.assert_array_equal(picture[1, 0], (0, 0, 0))
    np.testing.assert_array_equal(picture[0, 0], (0, 0, 128))
    np.testing.assert_array_equal(picture[1, 1], (128, 0, 0))


def test_the_colours_are_those_of_the_dicom_segments():
    for bundle in BUNDLES.iterdir():
        metadata = read_metadata(bundle)
        segments = {segment.label: segment.colour_rgb for segment in segments_of(metadata)}
        assert label_colours(metadata.values) == segments
        assert set(segments) == set(metadata.label_names)
