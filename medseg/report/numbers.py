"""How the report writes numbers: each beside its full precision and the place in summary.json or cases.csv."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup, escape

from medseg.metrics import lower_is_better

MAIN = ("dice", "hd95_mm", "nsd")  # the ones a reader looks for first
TITLES = {
    "dice": "Dice",
    "iou": "IoU",
    "precision": "Precision",
    "recall": "Recall",
    "specificity": "Specificity",
    "f_beta": "F-beta",
    "volume_ml": "Volume, predicted (ml)",
    "reference_volume_ml": "Volume, reference (ml)",
    "volume_error_ml": "Volume error (ml)",
    "relative_volume_error": "Relative volume error",
    "hd_mm": "Hausdorff distance (mm)",
    "hd95_mm": "HD95 (mm)",
    "assd_mm": "ASSD (mm)",
    "masd_mm": "MASD (mm)",
    "nsd": "NSD",
    "boundary_iou": "Boundary IoU",
    "cldice": "clDice",
    "lesion_f1": "Lesion F1",
    "lesion_precision": "Lesion precision",
    "lesion_recall": "Lesion recall",
    "lesions": "Lesions, reference",
    "lesions_predicted": "Lesions, predicted",
    "ece": "ECE",
}
SMALLEST_P = 0.001
NOTHING = "–"


def title(metric: str) -> str:
    """Return a metric's name as people write it; ``nsd_2mm`` becomes ``NSD at 2 mm``."""
    if metric.startswith("nsd_"):
        return f"NSD at {metric.removeprefix('nsd_').removesuffix('mm')} mm"
    return TITLES.get(metric, metric)


def direction(metric: str) -> str:
    """Say which values of a metric are good; empty where neither are."""
    lower = lower_is_better(metric)
    return "" if lower is None else "lower is better" if lower else "higher is better"


def metrics_of(summary: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """Return all metrics of the summary, and those that come first."""
    metrics = [name for name, entry in summary["mean"].items() if isinstance(entry, Mapping)]
    return metrics, [name for name in MAIN if name in metrics]


def shown(value: float | None, name: str) -> str:
    """Return a value's text: counts whole, millimetres and millilitres to 2 digits, other measures and p to 3."""
    if value is None:
        return NOTHING
    if isinstance(value, int):  # before p: a column of subgroups may be called p_stage
        return str(value)
    if name.startswith("p_"):
        return f"{value:.3f}" if value >= SMALLEST_P else f"< {SMALLEST_P}"
    if not name:  # a setting
        return f"{value:g}"
    digits = 2 if name.startswith("lesions") or name.endswith(("_mm", "_ml")) else 3
    return f"{value:.{digits}f}".replace("-", "−")


def number(summary: Mapping[str, Any], *path: str | int) -> Markup:
    """Return a number of the summary as HTML, with its full precision and its path."""
    name = next(
        (step for step in reversed(path) if isinstance(step, str) and (step.startswith("p_") or _is_metric(step))),
        "",
    )
    where = ".".join(str(step).replace("\\", "\\\\").replace(".", "\\.") for step in path)
    return _data(_at(summary, path), name, {"data-path": where})


def has(summary: Mapping[str, Any], *path: str | int) -> bool:
    """Say whether the summary has a value there."""
    return _at(summary, path) is not None


def _at(summary: Mapping[str, Any], path: Sequence[str | int]) -> Any:
    value: Any = summary
    for step in path:
        value = value[step]
    return value


def case_number(case: str, metric: str, value: float | None, *, label: int | None, model: str | None) -> Markup:
    """Return a number of cases.csv as HTML; without a label, the mean of the case's rows that have a value."""
    where = {"data-case": case, "data-metric": metric}
    where |= {} if label is None else {"data-label": str(label)}
    where |= {} if model is None else {"data-model": model}
    return _data(value, metric, where)


def mean(values: Sequence[float | None]) -> float | None:
    """Return the mean of the values there are, None where there are none."""
    kept = [value for value in values if value is not None]
    return sum(kept) / len(kept) if kept else None


def _is_metric(step: str) -> bool:
    return step in TITLES or step.startswith("nsd_")


def _data(value: float | None, name: str, where: Mapping[str, str]) -> Markup:
    attributes = "".join(f' {key}="{escape(text)}"' for key, text in where.items())
    if value is None:
        return Markup(f'<span class="none" title="no value"{attributes}>{NOTHING}</span>')
    return Markup(f'<data value="{json.dumps(value)}"{attributes}>{escape(shown(value, name))}</data>')
