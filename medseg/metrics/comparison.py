"""All metrics of all labels of two label maps in one pass."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from medseg.metrics.calibration import calibration_error
from medseg.metrics.label_pairs import count, cropped_masks, lay_out
from medseg.metrics.nearest import reach
from medseg.metrics.surface_metrics import distance_metrics
from medseg.metrics.surfaces import Directed, distances_by_code
from medseg.metrics.table import (
    BOUNDARY_WIDTH_MM,
    COMPUTED,
    DEFAULT_METRICS,
    DIAGONAL,
    HD95_DEFINITIONS,
    METRICS,
    check_hd95,
    check_metrics,
    definitions,
    empty_cases,
    lower_is_better,
    nsd_tolerance_mm,
    row,
)

__all__ = [
    "DEFAULT_METRICS",
    "HD95_DEFINITIONS",
    "METRICS",
    "check_metrics",
    "compare",
    "definitions",
    "empty_cases",
    "hd95_mm",
    "lower_is_better",
]


OF_DISTANCES = ("hd_mm", "hd95_mm", "assd_mm", "masd_mm", "nsd")
OF_LESIONS = ("lesion_f1", "lesion_precision", "lesion_recall", "lesions", "lesions_predicted")
OF_MASKS = ("boundary_iou", "cldice", *OF_LESIONS)


def compare(
    prediction: np.ndarray,
    reference: np.ndarray,
    *,
    spacing_mm: Sequence[float],
    labels: Sequence[int],
    metrics: Sequence[str] = DEFAULT_METRICS,
    hd95: str = "directed-max",
    tolerance_mm: float | Mapping[int, float] = 1.0,
    beta: float = 2.0,
    boundary_width_mm: float = BOUNDARY_WIDTH_MM,
    probabilities: Mapping[int, np.ndarray] | None = None,
) -> dict[int, dict[str, float]]:
    """Compare two label maps label by label.

    Parameters
    ----------
    prediction, reference
        Label maps of one shape, 1D to 3D: booleans, integers, or floats that are whole numbers.
    spacing_mm
        Distance of neighbouring voxels along each axis.
    labels
        The ids to compare; all others are background.
    metrics
        Names from `METRICS`, and ``nsd_2mm`` or the like for the NSD at that distance.
    hd95
        One of `HD95_DEFINITIONS`. All distances follow it: ``area-weighted`` takes surface elements, each
        weighted by its area, the others boundary voxels.
    tolerance_mm
        Of ``nsd``: one for all labels, or one for each.
    beta
        Of ``f_beta``: how many times recall weighs as much as precision.
    boundary_width_mm
        Of ``boundary_iou``.
    probabilities
        For ``ece``: each label's, an array of the label maps' shape.

    Returns
    -------
    dict
        ``{label: {metric: value}}``; NaN where a metric has no value. A structure that was missed or
        invented gets the worst value there is, see `empty_cases`, so that it can never improve a mean.

    Raises
    ------
    ValueError
        Shapes, spacings, labels, settings or values of the maps are not what is allowed.
    """
    prediction, reference = np.asarray(prediction), np.asarray(reference)
    spacing_mm = tuple(float(mm) for mm in spacing_mm)
    _check_grid(prediction, reference, spacing_mm)
    labels = _checked_labels(labels)
    check_metrics(metrics)
    check_hd95(hd95)
    tolerances_mm = {label: _tolerances_mm(metrics, tolerance_mm, label) for label in labels}
    if "ece" in metrics and (missing := sorted(set(labels) - set(probabilities or {}))):
        raise ValueError(f"ece needs probabilities, and there are none for labels {missing}")

    found = _find(prediction, reference, labels, spacing_mm, metrics, by_area=hd95 == "area-weighted")
    voxel_ml = math.prod(spacing_mm) / 1000
    diagonal_mm = math.hypot(*(n * mm for n, mm in zip(prediction.shape, spacing_mm, strict=True)))
    compared = {}
    for label in labels:
        values = _overlap(found.counts[label], voxel_ml, beta)
        if label in found.distances:
            values |= distance_metrics(*found.distances[label], hd95, tolerances_mm[label])
        if not set(metrics).isdisjoint(OF_MASKS):
            values |= _mask_metrics(found.masks.get(label), metrics, spacing_mm, boundary_width_mm)
        if probabilities and "ece" in metrics:
            values["ece"] = calibration_error(probabilities[label], reference == label)
        values |= _values_of_empty(found.counts[label], metrics, diagonal_mm)
        compared[label] = {name: float(values[name]) for name in metrics}
    return compared


class Counts(NamedTuple):
    """Voxels of a label."""

    tp: int
    fp: int
    fn: int
    all: int

    @property
    def found(self) -> int:
        return self.tp + self.fp

    @property
    def wanted(self) -> int:
        return self.tp + self.fn


class Found(NamedTuple):
    """What one pass over two maps gives of each label; what no metric needs, or no voxel has, is left out."""

    counts: dict[int, Counts]
    distances: dict[int, tuple[Directed, Directed]]
    masks: dict[int, tuple[np.ndarray, np.ndarray]]


def _find(
    prediction: np.ndarray,
    reference: np.ndarray,
    labels: Sequence[int],
    spacing_mm: tuple[float, ...],
    metrics: Sequence[str],
    *,
    by_area: bool,
) -> Found:
    pair = lay_out(prediction, reference, labels, [max(2, n + 1) for n in reach(spacing_mm)])
    if not pair:
        return Found({label: Counts(0, 0, 0, prediction.size) for label in labels}, {}, {})
    tp, fp, fn = count(pair)
    label_of = {code: label for label, code in pair.codes.items()}
    counts = {i: Counts(int(tp[c]), int(fp[c]), int(fn[c]), prediction.size) for i, c in pair.codes.items()}
    distances: dict[int, tuple[Directed, Directed]] = {}
    if any(name in OF_DISTANCES or nsd_tolerance_mm(name) is not None for name in metrics):
        in_both = [pair.codes[i] for i in labels if counts[i].found and counts[i].wanted]
        distances = distances_by_code(pair, in_both, spacing_mm, by_area=by_area)
    masks = {} if set(metrics).isdisjoint(OF_MASKS) else cropped_masks(pair)
    by_label = [{label_of[code]: value for code, value in each.items()} for each in (distances, masks)]
    return Found(counts, *by_label)  # type: ignore[arg-type]


def hd95_mm(
    prediction: np.ndarray, reference: np.ndarray, spacing_mm: Sequence[float], definition: str = "directed-max"
) -> float:
    """Return the 95th percentile Hausdorff distance of two masks in mm, by one of `HD95_DEFINITIONS`.

    One mask empty gives the diagonal of the volume, the farthest that two of its corners lie apart; both
    empty gives NaN. Source: Huttenlocher et al. 1993, doi:10.1109/34.232073.
    """
    masks = np.asarray(prediction, bool), np.asarray(reference, bool)
    values = compare(*masks, spacing_mm=spacing_mm, labels=[1], metrics=["hd95_mm"], hd95=definition)
    return values[1]["hd95_mm"]


def _check_grid(prediction: np.ndarray, reference: np.ndarray, spacing_mm: Sequence[float]) -> None:
    if prediction.shape != reference.shape:
        raise ValueError(f"prediction has shape {prediction.shape}, reference {reference.shape}: resample one")
    if not 1 <= prediction.ndim <= 3:
        raise ValueError(f"label maps have {prediction.ndim} axes; 1 to 3 are allowed: drop channels and batches")
    if len(spacing_mm) != prediction.ndim:
        raise ValueError(f"{len(spacing_mm)} spacings for {prediction.ndim} axes")
    if not all(0 < mm < math.inf for mm in spacing_mm):
        raise ValueError(f"spacing_mm is {spacing_mm}; each must be above 0 and finite")


def _checked_labels(labels: Sequence[int]) -> list[int]:
    ids = [int(label) for label in labels]
    if any(i != label for i, label in zip(ids, labels, strict=True)):
        raise ValueError(f"labels are {list(labels)}; they must be whole numbers")
    if len(set(ids)) < len(ids):
        raise ValueError(f"labels hold {sorted({i for i in ids if ids.count(i) > 1})} more than once")
    return ids


def _tolerances_mm(
    metrics: Sequence[str], tolerance_mm: float | Mapping[int, float], label: int
) -> dict[str, float]:
    """Return the distance of each NSD that is asked for."""
    if isinstance(tolerance_mm, Mapping) and label not in tolerance_mm and "nsd" in metrics:
        raise ValueError(f"tolerance_mm has none for label {label}, only for {sorted(tolerance_mm)}")
    own = tolerance_mm.get(label, 0.0) if isinstance(tolerance_mm, Mapping) else tolerance_mm
    if not 0 <= own < math.inf:
        raise ValueError(f"tolerance_mm is {own}; it must be at least 0 and finite")
    at = {name: own if name == "nsd" else nsd_tolerance_mm(name) for name in metrics}
    return {name: mm for name, mm in at.items() if mm is not None}


def _overlap(counts: Counts, voxel_ml: float, beta: float) -> dict[str, float]:
    tp, fp, fn = counts.tp, counts.fp, counts.fn
    tn = counts.all - tp - fp - fn
    recall_weighs = beta**2
    return {
        "dice": _part(2 * tp, 2 * tp + fp + fn),
        "iou": _part(tp, tp + fp + fn),
        "precision": _part(tp, tp + fp),
        "recall": _part(tp, tp + fn),
        "specificity": _part(tn, tn + fp),
        "f_beta": _part((1 + recall_weighs) * tp, (1 + recall_weighs) * tp + recall_weighs * fn + fp),
        "volume_ml": counts.found * voxel_ml,
        "reference_volume_ml": counts.wanted * voxel_ml,
        "volume_error_ml": (counts.found - counts.wanted) * voxel_ml,
        "relative_volume_error": _part(counts.found - counts.wanted, counts.wanted),
    }


def _part(some: float, all_: float) -> float:
    return some / all_ if all_ else math.nan


def _mask_metrics(
    masks: tuple[np.ndarray, np.ndarray] | None,
    metrics: Sequence[str],
    spacing_mm: Sequence[float],
    boundary_width_mm: float,
) -> dict[str, float]:
    """Return what needs a mask of its own for each label; `masks` is None where both are empty."""
    values: dict[str, float] = dict.fromkeys(OF_LESIONS, 0)
    if masks is None:
        return values
    if not set(metrics).isdisjoint(OF_LESIONS):
        from medseg.metrics.lesions import match_lesions

        values |= match_lesions(*masks)
    if all(mask.any() for mask in masks):
        if "boundary_iou" in metrics:
            from medseg.metrics.boundaries import boundary_iou

            values["boundary_iou"] = boundary_iou(*masks, spacing_mm, boundary_width_mm)
        if "cldice" in metrics:
            from medseg.metrics.centrelines import centreline_dice

            values["cldice"] = centreline_dice(*masks)
    return values


def _values_of_empty(counts: Counts, metrics: Sequence[str], diagonal_mm: float) -> dict[str, float]:
    """Return the values that are fixed where a mask is empty."""
    if counts.found and counts.wanted:
        return {}
    case = "reference_empty" if counts.found else "prediction_empty" if counts.wanted else "both_empty"
    fixed = {name: getattr(row(name), case) for name in metrics}
    worst = {None: math.nan, DIAGONAL: diagonal_mm}
    return {name: worst.get(value, value) for name, value in fixed.items() if value != COMPUTED}
