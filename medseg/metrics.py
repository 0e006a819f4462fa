"""Overlap and surface distance of two label maps: pure functions on arrays, any number of labels.

Definitions (also in ``docs/reference/metrics.md``)
    With TP, FP, FN voxels of a label: Dice = 2TP / (2TP + FP + FN), IoU = TP / (TP + FP + FN),
    precision = TP / (TP + FP), recall = TP / (TP + FN).
    HD95: the larger of the two directed 95th percentiles of the distances from the boundary voxels of one
    mask to the nearest of the other, centre to centre in mm ("directed-max").
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy.ndimage import binary_erosion, find_objects
from scipy.spatial import cKDTree

METRICS = ("dice", "iou", "precision", "recall", "hd95_mm", "volume_ml", "reference_volume_ml")

DEFINITIONS = {
    "dice": "2TP / (2TP + FP + FN)",
    "iou": "TP / (TP + FP + FN)",
    "precision": "TP / (TP + FP)",
    "recall": "TP / (TP + FN)",
    "hd95_mm": "directed-max: larger of the two directed 95th percentiles of boundary voxel distances, mm",
    "volume_ml": "voxels of the prediction times the voxel volume",
    "reference_volume_ml": "voxels of the reference times the voxel volume",
}
EMPTY_POLICY = {
    "both_empty": "nothing to find and nothing found: dice, iou, precision, recall and hd95_mm are null, "
    "left out of the mean and counted in n_excluded",
    "prediction_empty": "missed: dice, iou, precision and recall are 0, hd95_mm is the diagonal of the volume",
    "reference_empty": "invented: dice, iou, precision and recall are 0, hd95_mm is the diagonal of the volume",
}


def compare(
    prediction: np.ndarray,
    reference: np.ndarray,
    *,
    spacing_mm: Sequence[float],
    labels: Sequence[int],
    metrics: Sequence[str] = METRICS,
) -> dict[int, dict[str, float]]:
    """Compare two label maps label by label.

    Parameters
    ----------
    prediction, reference
        Integer arrays of one shape, 2D or 3D.
    spacing_mm
        Distance of neighbouring voxels along each axis.
    labels
        The ids to compare.
    metrics
        Names from `METRICS`.

    Returns
    -------
    dict
        ``{label: {metric: value}}``; NaN where a metric has no value. A structure that was missed or
        invented gets the worst value there is, see `EMPTY_POLICY`, so that it can never improve a mean.

    Raises
    ------
    ValueError
        The shapes or the number of spacings differ, or a metric is unknown.
    """
    prediction, reference = np.asarray(prediction), np.asarray(reference)
    if prediction.shape != reference.shape:
        raise ValueError(f"prediction has shape {prediction.shape}, reference {reference.shape}: resample one")
    if len(spacing_mm) != prediction.ndim:
        raise ValueError(f"{len(spacing_mm)} spacings for {prediction.ndim} axes")
    unknown = sorted(set(metrics) - set(METRICS))
    if unknown:
        raise ValueError(f"unknown metrics {unknown}; there are {list(METRICS)}")
    return {
        int(label): _compare_masks(prediction == label, reference == label, spacing_mm, metrics)
        for label in labels
    }


def _compare_masks(
    prediction: np.ndarray, reference: np.ndarray, spacing_mm: Sequence[float], metrics: Sequence[str]
) -> dict[str, float]:
    found, wanted = int(prediction.sum()), int(reference.sum())
    both = int((prediction & reference).sum())
    voxel_ml = math.prod(spacing_mm) / 1000
    values = {"volume_ml": found * voxel_ml, "reference_volume_ml": wanted * voxel_ml}
    if not found and not wanted:
        values |= dict.fromkeys(("dice", "iou", "precision", "recall", "hd95_mm"), math.nan)
    else:
        values["dice"] = 2 * both / (found + wanted)
        values["iou"] = both / (found + wanted - both)
        values["precision"] = both / found if found else 0.0
        values["recall"] = both / wanted if wanted else 0.0
        if "hd95_mm" in metrics:
            values["hd95_mm"] = hd95_mm(prediction, reference, spacing_mm)
    return {name: values[name] for name in metrics}


def hd95_mm(prediction: np.ndarray, reference: np.ndarray, spacing_mm: Sequence[float]) -> float:
    """Return the 95th percentile Hausdorff distance of two masks in mm, ``directed-max``.

    One mask empty gives the diagonal of the volume, the farthest that two of its corners lie apart; both
    empty gives NaN. Source: Huttenlocher et al. 1993, doi:10.1109/34.232073; MONAI's definition.
    """
    if not prediction.any() and not reference.any():
        return math.nan
    if not prediction.any() or not reference.any():
        return float(np.linalg.norm(np.multiply(prediction.shape, spacing_mm)))
    ours, theirs = boundary_mm(prediction, spacing_mm), boundary_mm(reference, spacing_mm)
    to_theirs = cKDTree(theirs).query(ours)[0]
    to_ours = cKDTree(ours).query(theirs)[0]
    return float(max(np.percentile(to_theirs, 95), np.percentile(to_ours, 95)))


def boundary_mm(mask: np.ndarray, spacing_mm: Sequence[float]) -> np.ndarray:
    """Return the positions in mm (n, axes) of mask voxels with a face neighbour outside the mask.

    What lies beyond the array counts as outside.
    """
    (box,) = find_objects(mask.astype(np.uint8))
    inner = mask[box]
    edge = inner & ~binary_erosion(inner)
    return (np.argwhere(edge) + [s.start for s in box]) * np.asarray(spacing_mm)
