"""Pictures of validation cases for TensorBoard: image, reference and prediction side by side."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

Colours = Mapping[int, tuple[int, int, int]]  # of each label, 0 to 255
OPACITY = 0.5


def overlay(image: np.ndarray, labels: np.ndarray, colours: Colours) -> np.ndarray:
    """Return the slice `image` (I, J) in grey with `labels` (I, J) in colour, as an uint8 RGB picture (J, I, 3).

    The first axis points right and the second up, as RAS+ slices are drawn.
    """
    table = np.zeros((max([0, *colours, int(labels.max())]) + 1, 3), np.float32)
    for label, colour in colours.items():
        table[label] = colour
    low, high = np.percentile(image, (1, 99))
    grey = np.clip((image - low) / max(high - low, 1e-6), 0, 1)[..., None] * np.full(3, 255.0)
    coloured = (1 - OPACITY) * grey + OPACITY * table[labels]
    picture = np.where((labels > 0)[..., None], coloured, grey)
    return np.flip(picture.transpose(1, 0, 2), axis=0).round().astype(np.uint8)


def worst_slice(prediction: np.ndarray, reference: np.ndarray) -> int:
    """Return the index along the third axis with most wrong voxels, or with most labelled ones if none is."""
    wrong = (prediction != reference).sum(axis=(0, 1))
    return int(np.argmax(wrong if wrong.any() else (reference > 0).sum(axis=(0, 1))))


def slice_row(image: np.ndarray, reference: np.ndarray, prediction: np.ndarray, colours: Colours) -> np.ndarray:
    """Return image, reference and prediction side by side, one slice of each, as an uint8 RGB picture."""
    k = worst_slice(prediction, reference)
    nothing = np.zeros_like(reference[..., k])
    shown = [
        overlay(image[..., k], labels, colours) for labels in (nothing, reference[..., k], prediction[..., k])
    ]
    return np.concatenate(shown, axis=1)
