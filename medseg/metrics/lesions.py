"""Lesion-wise detection: which connected parts of a mask were found, and which predicted ones are not there."""

from __future__ import annotations

import cc3d
import numpy as np


def match_lesions(prediction: np.ndarray, reference: np.ndarray) -> dict[str, float]:
    """Count the reference's lesions, those that were found, and the predicted ones that are false.

    A lesion is a connected component of a mask, corners included (26 neighbours in 3D, 8 in 2D). It is found if
    the prediction has any voxel in it, and a predicted component is false if it touches no lesion. So a lesion
    found in several pieces counts once, none of the pieces is false, and one component over two lesions finds
    both.

    Parameters
    ----------
    prediction, reference
        Boolean arrays of one shape, 2D or 3D.

    Returns
    -------
    dict
        ``lesions`` and ``lesions_predicted`` (components), and with TP the lesions found, FN those missed and
        FP the false components: ``lesion_precision`` TP / (TP + FP), ``lesion_recall`` TP / (TP + FN) and
        ``lesion_f1`` 2TP / (2TP + FP + FN), their harmonic mean; 0 where there is nothing to divide by.

    Raises
    ------
    ValueError
        The arrays are neither 2D nor 3D.

    Notes
    -----
    Any overlap counts in autoPET (false positive and negative volumes), ATLAS and ISLES'22 (lesion-wise F1) and,
    after a dilation, BraTS 2023.
    """
    lesions, n = components(reference)
    predicted, n_predicted = components(prediction)
    both = prediction & reference
    found = int(np.count_nonzero(np.bincount(lesions[both])))
    false = n_predicted - int(np.count_nonzero(np.bincount(predicted[both])))
    return {
        "lesions": n,
        "lesions_predicted": n_predicted,
        "lesion_precision": found / max(found + false, 1),
        "lesion_recall": found / max(n, 1),
        "lesion_f1": 2 * found / max(found + false + n, 1),
    }


def components(mask: np.ndarray) -> tuple[np.ndarray, int]:
    """Return a mask's connected components (26 or 8 neighbours), numbered from 1, and how many there are."""
    if mask.ndim not in (2, 3):
        raise ValueError(f"connected components need masks of 2 or 3 axes, not {mask.ndim}")
    # As bytes: of binary images cc3d 4.1.1 gives wrong parts, or RuntimeError, in 2D and on lines in 3D.
    return cc3d.connected_components(
        mask.astype(np.uint8), connectivity=26 if mask.ndim == 3 else 8, return_N=True
    )
