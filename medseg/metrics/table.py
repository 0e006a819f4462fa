"""Every metric's name, definition, better direction and value where a mask is empty: one row each.

`medseg.metrics` computes them; ``docs/reference/metrics.md`` explains them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

HD95_DEFINITIONS = ("directed-max", "area-weighted", "pooled")
BOUNDARY_WIDTH_MM = 2.0
DIAGONAL = "diagonal"  # of the volume in mm: the farthest that two of its corners lie apart
COMPUTED = "computed"  # by the definition, as if neither mask were empty


class Metric(NamedTuple):
    """A row of the table; the three last fields are the values for empty masks (None: no value)."""

    definition: str
    lower_is_better: bool | None  # None: neither, as for a volume
    prediction_empty: float | str | None
    reference_empty: float | str | None
    both_empty: float | str | None = None


TABLE = {
    "dice": Metric("2TP / (2TP + FP + FN)", False, 0, 0),
    "iou": Metric("TP / (TP + FP + FN)", False, 0, 0),
    "precision": Metric("TP / (TP + FP)", False, 0, 0),
    "recall": Metric("TP / (TP + FN)", False, 0, 0),
    "specificity": Metric("TN / (TN + FP)", False, 0, COMPUTED),
    "f_beta": Metric("(1 + b^2) TP / ((1 + b^2) TP + b^2 FN + FP), b = {beta:g}", False, 0, 0),
    "volume_ml": Metric("voxels of the prediction times the voxel volume", None, COMPUTED, COMPUTED, COMPUTED),
    "reference_volume_ml": Metric(
        "voxels of the reference times the voxel volume", None, COMPUTED, COMPUTED, COMPUTED
    ),
    "volume_error_ml": Metric("volume_ml - reference_volume_ml", None, COMPUTED, COMPUTED, COMPUTED),
    "relative_volume_error": Metric("volume_error_ml / reference_volume_ml", None, -1, None),
    "hd_mm": Metric("largest distance of {points}, mm", True, DIAGONAL, DIAGONAL),
    "hd95_mm": Metric("{hd95}: {percentile} of {points}, mm", True, DIAGONAL, DIAGONAL),
    "assd_mm": Metric("mean distance of {points}, both surfaces pooled, mm", True, DIAGONAL, DIAGONAL),
    "masd_mm": Metric("mean of the two directed mean distances of {points}, mm", True, DIAGONAL, DIAGONAL),
    "nsd": Metric("part of both surfaces at most {tolerance} mm from the other; {points}", False, 0, 0),
    "boundary_iou": Metric("IoU of each mask's voxels within {width} of a voxel outside it", False, 0, 0),
    "cldice": Metric("harmonic mean of the parts of each mask's skeleton that the other covers", False, 0, 0),
    "lesion_f1": Metric("harmonic mean of lesion_precision and lesion_recall", False, 0, 0),
    "lesion_precision": Metric("lesions found / (lesions found + predicted ones that touch none)", False, 0, 0),
    "lesion_recall": Metric("lesions that the prediction touches / lesions", False, 0, 0),
    "lesions": Metric("connected components of the reference", None, COMPUTED, COMPUTED, COMPUTED),
    "lesions_predicted": Metric("connected components of the prediction", None, COMPUTED, COMPUTED, COMPUTED),
    "ece": Metric(
        "mean gap of the label's probability and frequency, 15 bins", True, COMPUTED, COMPUTED, COMPUTED
    ),
}
METRICS = tuple(TABLE)
ON_REQUEST = ("f_beta", *METRICS[METRICS.index("boundary_iou") :])
DEFAULT_METRICS = tuple(name for name in METRICS if name not in ON_REQUEST)
_NSD_AT = re.compile(r"nsd_(\d+(?:\.\d+)?)mm")

_PERCENTILES = {
    "directed-max": "larger of the two directed 95th percentiles",
    "area-weighted": "larger of the two directed distances that 95 % of the surface area does not exceed",
    "pooled": "95th percentile of both directions together",
}
_VOXELS = "boundary voxels (a face neighbour outside the mask) to the nearest of the other mask, centre to centre"
_ELEMENTS = "surface elements (2x2x2 voxels) to the nearest of the other mask, each weighted by its area"


def check_metrics(metrics: Sequence[str]) -> None:
    """Raise ValueError for a metric that does not exist, naming those that do."""
    unknown = sorted({name for name in metrics if name not in TABLE and nsd_tolerance_mm(name) is None})
    if unknown:
        raise ValueError(
            f"unknown metrics {unknown}; there are {', '.join(METRICS)}, and nsd_2mm or another distance"
        )


def check_hd95(definition: str) -> None:
    """Raise ValueError for a definition of HD95 that does not exist, naming those that do."""
    if definition not in HD95_DEFINITIONS:
        raise ValueError(f"unknown hd95 definition {definition!r}; there are {', '.join(HD95_DEFINITIONS)}")


def nsd_tolerance_mm(metric: str) -> float | None:
    """Return the distance in a name such as ``nsd_2mm``, None for any other."""
    found = _NSD_AT.fullmatch(metric)
    return float(found[1]) if found else None


def row(metric: str) -> Metric:
    """Return a metric's row; ``nsd_2mm`` and the like have that of ``nsd``."""
    check_metrics([metric])
    return TABLE.get(metric) or TABLE["nsd"]


def definitions(
    metrics: Sequence[str] = DEFAULT_METRICS,
    *,
    hd95: str = "directed-max",
    tolerance_mm: float | Mapping[int, float] = 1.0,
    beta: float = 2.0,
    boundary_width_mm: float = BOUNDARY_WIDTH_MM,
) -> dict[str, str]:
    """Return each metric's definition with the settings of `medseg.metrics.compare` in it."""
    check_hd95(hd95)
    if isinstance(tolerance_mm, Mapping):
        by_label = ", ".join(f"{label}: {mm:g}" for label, mm in tolerance_mm.items())
        tolerance = f"the label's tolerance ({by_label})"
    else:
        tolerance = f"{tolerance_mm:g}"
    texts = {
        "hd95": hd95,
        "percentile": _PERCENTILES[hd95],
        "points": _ELEMENTS if hd95 == "area-weighted" else _VOXELS,
        "beta": beta,
        "width": f"{boundary_width_mm:g} mm",
    }
    at = {name: nsd_tolerance_mm(name) for name in metrics}
    return {
        name: row(name).definition.format(**texts, tolerance=tolerance if mm is None else f"{mm:g}")
        for name, mm in at.items()
    }


def empty_cases(metrics: Sequence[str] = DEFAULT_METRICS) -> dict[str, dict[str, object]]:
    """Return each metric's value where the prediction, the reference or both are empty.

    ``None`` is no value (left out of means and counted), ``"diagonal"`` that of the volume in mm,
    ``"computed"`` what the definition gives. The worst value there is stands for a structure that was missed
    or invented, so that neither can improve a mean.
    """
    cases = ("both_empty", "prediction_empty", "reference_empty")
    return {case: {name: getattr(row(name), case) for name in metrics} for case in cases}


def lower_is_better(metric: str) -> bool | None:
    """Return True for distances and errors, False for scores, None for what is neither (volumes, counts)."""
    return row(metric).lower_is_better
