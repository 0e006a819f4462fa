"""How a metric is distributed over the cases, label by label: boxes and dots in coordinates that a browser draws.

Each strip is `WIDE` by `HIGH` units and is stretched to the space there is; strokes keep their width.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from medseg.metrics import lower_is_better
from medseg.report.numbers import direction, title

WIDE, HIGH = 1000, 20
DOTS_OF_A_STRIP = 300
DOTS_IN_ALL = 12_000  # beyond this a browser grows slow; the boxes stay
WORST_NAMED = 3
FAR = 2.0  # an axis is cut where the largest value is as many times what nearly all values lie below
GOLDEN = 0.6180339887  # its multiples spread dots evenly over a strip's height, the same ones in each run


def distribution(
    metric: str, rows: Sequence[Mapping[str, Any]], names: Mapping[str, str], models: Sequence[str | None]
) -> dict[str, Any]:
    """Return what the template draws of a metric.

    Parameters
    ----------
    metric
        A column of `rows`.
    rows
        The rows of cases.csv; None where there is no value.
    names
        The labels' names by id.
    models
        The values of the column ``model``; ``[None]`` where there is none.

    Returns
    -------
    dict
        ``title``, ``direction``, ``ticks`` (place in percent, text), ``cut`` (whether values lie beyond the
        axis) and ``lines``: for each label that has values its ``name`` and a strip for each model.
    """
    values: dict[tuple[str, str | None], list[tuple[float, str]]] = {}
    for row in rows:
        if row[metric] is not None:
            values.setdefault((str(row["label"]), row.get("model")), []).append((row[metric], row["case"]))
    everything = np.array([value for found in values.values() for value, _ in found])
    if not everything.size:
        return {"metric": metric, "title": title(metric), "lines": []}
    low, high, ticks = axis(everything, lower_is_better(metric))
    most = max(30, min(DOTS_OF_A_STRIP, DOTS_IN_ALL // len(values)))
    lines = []
    for label, name in names.items():
        found = [values.get((label, model), []) for model in models]
        if any(found):
            lines.append({"name": name, "strips": [_strip(f, low, high, metric, most) for f in found]})
    return {
        "metric": metric,
        "title": title(metric),
        "direction": direction(metric),
        "ticks": [(100 * (tick - low) / (high - low), f"{tick:g}".replace("-", "−")) for tick in ticks],
        "cut": bool(everything.max() > high or everything.min() < low),
        "lines": lines,
    }


def axis(values: np.ndarray, lower: bool | None) -> tuple[float, float, list[float]]:
    """Return an axis' ends and its ticks; scores end at 1, distances begin at 0."""
    if lower is False:
        low, high = float(values.min()), 1.0
    else:
        low, high = min(0.0, float(values.min())), float(values.max())
        most = float(np.percentile(values, 97.5))
        if lower and most > 0 and high > FAR * most:
            high = 1.2 * most
    step = _nice_step(high - low)
    low, high = step * math.floor(low / step + 1e-9), step * math.ceil(high / step - 1e-9)
    if high <= low:
        high = low + step
    ticks = [round(low + step * place, 10) for place in range(round((high - low) / step) + 1)]
    return low, high, ticks


def _nice_step(span: float) -> float:
    """Return a step of 1, 2 or 5 times a power of ten that divides the span into five parts or so."""
    if span <= 0:
        return 0.1
    power = 10 ** math.floor(math.log10(span / 5))
    return float(next(power * factor for factor in (1, 2, 5, 10) if span / (power * factor) <= 5.5))


def _strip(
    found: Sequence[tuple[float, str]], low: float, high: float, metric: str, most: int
) -> dict[str, Any] | None:
    if not found:
        return None
    values = np.array([value for value, _ in found])
    first, median, third = np.percentile(values, (25, 50, 75))
    reach = 1.5 * (third - first)
    inside = values[(values >= first - reach) & (values <= third + reach)]

    def x(value: float) -> int:
        return round(WIDE * min(1.0, max(0.0, (value - low) / (high - low))))

    order = np.argsort(values, kind="stable")
    dots = order
    if len(values) > most:
        outside = order[(values[order] < inside.min()) | (values[order] > inside.max())]
        far = np.argsort(-np.abs(values[outside] - median), kind="stable")[:most]
        dots = outside[far]
    worst_first = order if lower_is_better(metric) is False else order[::-1]
    worst = [] if lower_is_better(metric) is None else [int(place) for place in worst_first[:WORST_NAMED]]
    return {
        "box": [x(value) for value in (inside.min(), first, median, third, inside.max())],
        "dots": "".join(f"M{x(values[i])} {_height(int(i))}h0" for i in dots if i not in worst),
        "worst": [(f"M{x(values[i])} {_height(i)}h0", found[i][1]) for i in worst],
    }


def _height(place: int) -> int:
    return round(3 + (HIGH - 6) * (place * GOLDEN % 1))
