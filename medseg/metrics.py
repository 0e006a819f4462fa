"""Overlap, volume and surface distance of two label maps: pure functions on arrays, any number of labels.

Definitions, sources and the values for empty masks stand in `medseg.metric_table` and
``docs/reference/metrics.md``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from medseg.metric_table import (
    DEFAULT_METRICS,
    DIAGONAL,
    HD95_DEFINITIONS,
    METRICS,
    NSD_AT,
    check_hd95,
    check_metrics,
    definitions,
    empty_cases,
    lower_is_better,
    row,
)
from medseg.surfaces import Distances, surface_distances

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
DISTANCES = ("hd_mm", "hd95_mm", "assd_mm", "masd_mm", "nsd")
DEFINITIONS = definitions(METRICS)
EMPTY_POLICY = empty_cases(METRICS)


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
    boundary_width_mm: float | None = None,
    probabilities: np.ndarray | Mapping[int, np.ndarray] | None = None,
) -> dict[int, dict[str, float]]:
    """Compare two label maps label by label."""
    prediction, reference = np.asarray(prediction), np.asarray(reference)
    if prediction.shape != reference.shape:
        raise ValueError(f"prediction has shape {prediction.shape}, reference {reference.shape}: resample one")
    if len(spacing_mm) != prediction.ndim:
        raise ValueError(f"{len(spacing_mm)} spacings for {prediction.ndim} axes")
    check_metrics(metrics)
    check_hd95(hd95)
    diagonal = math.hypot(*np.multiply(prediction.shape, spacing_mm))
    voxel_ml = math.prod(spacing_mm) / 1000
    compared = {}
    for label in labels:
        a, b = prediction == label, reference == label
        found, wanted, both = int(a.sum()), int(b.sum()), int((a & b).sum())
        fp, fn = found - both, wanted - both
        tn = a.size - found - wanted + both

        def part(x, y):
            return x / y if y else math.nan

        values = {
            "dice": part(2 * both, found + wanted),
            "iou": part(both, found + wanted - both),
            "precision": part(both, found),
            "recall": part(both, wanted),
            "specificity": part(tn, tn + fp),
            "f_beta": part((1 + beta**2) * both, (1 + beta**2) * both + beta**2 * fn + fp),
            "volume_ml": found * voxel_ml,
            "reference_volume_ml": wanted * voxel_ml,
            "volume_error_ml": (found - wanted) * voxel_ml,
            "relative_volume_error": part(found - wanted, wanted),
        }
        case = None
        if not found or not wanted:
            case = "both_empty" if found == wanted else "reference_empty" if found else "prediction_empty"
        elif any(name in DISTANCES or NSD_AT.fullmatch(name) for name in metrics):
            d = surface_distances(a, b, spacing_mm, hd95)
            values |= summarize(d, hd95)
            n = d.ours.size + d.theirs.size
            for name in metrics:
                if name == "nsd" or NSD_AT.fullmatch(name):
                    at = (
                        float(name[4:-2])
                        if name != "nsd"
                        else (tolerance_mm[label] if isinstance(tolerance_mm, Mapping) else tolerance_mm)
                    )
                    values[name] = ((d.ours <= at).sum() + (d.theirs <= at).sum()) / n
        fixed = {name: getattr(row(name), case) for name in metrics} if case else {}
        fixed = {
            k: math.nan if v is None else diagonal if v == DIAGONAL else v
            for k, v in fixed.items()
            if v != "computed"
        }
        compared[int(label)] = {name: float((values | fixed).get(name, math.nan)) for name in metrics}
    return compared


def summarize(d: Distances, hd95: str) -> dict[str, float]:
    both = np.concatenate([d.ours, d.theirs])
    return {
        "hd_mm": both.max(),
        "hd95_mm": np.percentile(both, 95)
        if hd95 == "pooled"
        else max(np.percentile(d.ours, 95), np.percentile(d.theirs, 95)),
        "assd_mm": both.mean(),
        "masd_mm": (d.ours.mean() + d.theirs.mean()) / 2,
    }


def hd95_mm(
    prediction: np.ndarray, reference: np.ndarray, spacing_mm: Sequence[float], definition: str = "directed-max"
) -> float:
    """Return the 95th percentile Hausdorff distance of two masks in mm; empty ones as `empty_cases` says."""
    masks = np.asarray(prediction, bool), np.asarray(reference, bool)
    values = compare(*masks, spacing_mm=spacing_mm, labels=[1], metrics=("hd95_mm",), hd95=definition)
    return values[1]["hd95_mm"]
