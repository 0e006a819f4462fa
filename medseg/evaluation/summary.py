"""What ``summary.json`` and ``cases.csv`` hold, from each case's values; see ``docs/reference/evaluation.md``."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from medseg.evaluation.comparison import Compared
from medseg.evaluation.groups import Groups, members
from medseg.evaluation.settings import Asked, Settings
from medseg.evaluation.statistics import PAIRED_POLICY, POLICY, compare_pairs, describe, holm
from medseg.metrics import compare, definitions, empty_cases


def table_of(compared: Sequence[Compared], labels: Sequence[int], settings: Settings) -> np.ndarray:
    """Return the values as an array (cases, labels, metrics); NaN where there is none.

    A label that is in neither map of a case has what `medseg.metrics.compare` says of two empty masks.
    """
    nothing = np.zeros((1, 1, 1), np.uint8)
    metrics = [name for name in settings.metrics if name != "ece"]
    how: dict[str, Any] = {"spacing_mm": (1, 1, 1), "hd95": settings.hd95, "tolerance_mm": settings.tolerance_mm}
    empty = compare(nothing, nothing, labels=labels, metrics=metrics, **how)
    absent = {label: {"ece": math.nan} | values for label, values in empty.items()}
    return np.array(
        [
            [[(one.values.get(i) or absent[i])[name] for name in settings.metrics] for i in labels]
            for one in compared
        ],
        dtype=np.float64,
    ).reshape(len(compared), len(labels), len(settings.metrics))


def over_labels(values: np.ndarray) -> np.ndarray:
    """Return each case's mean over its labels (cases, metrics), of those that have a value."""
    there = ~np.isnan(values)
    sums, counts = np.where(there, values, 0.0).sum(axis=1), there.sum(axis=1)
    return np.where(counts, sums / np.maximum(counts, 1), np.nan)


def summarize(values: np.ndarray, names: Mapping[int, str], metrics: Sequence[str]) -> dict[str, Any]:
    """Return ``labels`` and ``mean`` of a model's summary.

    Parameters
    ----------
    values
        (cases, labels, metrics), see `table_of`.
    names
        The labels' ids, in their order, and names.
    metrics
        The metrics' names, in their order; ``dice`` is among them.
    """
    n_cases = len(values)
    columns = np.concatenate([values.reshape(n_cases, -1), over_labels(values)], axis=1)
    entries = _by_label(describe(columns), names, metrics)
    without = np.isnan(values[:, :, list(metrics).index("dice")]).sum(axis=0)
    labels = {
        str(i): {"name": name, "n": n_cases, "n_excluded": int(excluded), **entries[i]}
        for (i, name), excluded in zip(names.items(), without, strict=True)
    }
    return {"labels": labels, "mean": {"n": n_cases, **entries[None]}}


def _by_label(
    entries: Sequence[dict[str, Any]], names: Mapping[int, str], metrics: Sequence[str]
) -> dict[int | None, dict[str, Any]]:
    """Return the entries of the columns by label and metric; None stands for the mean over labels."""
    rows = (entries[start : start + len(metrics)] for start in range(0, len(entries), len(metrics)))
    return {i: dict(zip(metrics, row, strict=True)) for i, row in zip([*names, None], rows, strict=True)}


def summarize_groups(
    values: np.ndarray, cases: Sequence[str], groups: Groups, names: Mapping[int, str], metrics: Sequence[str]
) -> dict[str, Any]:
    """Return ``{column: {value: summary}}`` of each column of the user's table."""
    place = {case: index for index, case in enumerate(cases)}
    return {
        column: {
            value: summarize(values[[place[case] for case in group]], names, metrics)
            for value, group in members(by_case).items()
        }
        for column, by_case in groups.items()
    }


def differences(
    first: np.ndarray, second: np.ndarray, names: Mapping[int, str], metrics: Sequence[str]
) -> dict[str, Any]:
    """Return the paired comparison of two models' values: ``labels`` and ``mean``; see `compare_pairs`."""
    flat = [np.concatenate([v.reshape(len(v), -1), over_labels(v)], axis=1) for v in (first, second)]
    entries = _by_label(compare_pairs(*flat), names, metrics)
    for metric in metrics:
        corrected = holm([entries[i][metric]["p_wilcoxon"] for i in names])
        for i, p in zip(names, corrected, strict=True):
            entries[i][metric]["p_holm"] = p
        entries[None][metric]["p_holm"] = entries[None][metric]["p_wilcoxon"]
    return {"labels": {str(i): entries[i] for i in names}, "mean": entries[None]}


def definitions_of(settings: Settings) -> dict[str, str]:
    """Return each metric's definition, with the settings in it."""
    texts = definitions(settings.metrics, hd95=settings.hd95, tolerance_mm=settings.tolerance_mm)
    if "ece" in texts:
        from medseg.evaluation.calibration import DOMAIN

        texts["ece"] += f", {DOMAIN}"
    return texts


def policy_of(settings: Settings, *, two_models: bool) -> dict[str, Any]:
    """Return by which rules the numbers were made."""
    tolerance = settings.tolerance_mm
    return {
        "hd95": settings.hd95,
        "tolerance_mm": {str(i): mm for i, mm in tolerance.items()} if isinstance(tolerance, dict) else tolerance,
        "empty_cases": empty_cases(settings.metrics),
        "mean": "over cases, of each case's mean over the labels that have a value in it",
        "resample": "predictions to the reference's grid, by nearest neighbour"
        if settings.resample
        else "refused",
        **({"regions": {str(i): list(ids) for i, ids in settings.regions.items()}} if settings.regions else {}),
        **({} if settings.ignore_label is None else {"ignore_label": settings.ignore_label}),
        **POLICY,
        **(PAIRED_POLICY if two_models else {}),
    }


def rows_of(
    values: np.ndarray,
    cases: Sequence[str],
    names: Mapping[int, str],
    asked: Asked,
    model: str | None = None,
) -> list[dict[str, Any]]:
    """Return the rows of ``cases.csv``, one a case and label; None where there is no value."""
    return [
        {
            **({} if model is None else {"model": model}),
            "case": case,
            "label": i,
            "name": name,
            **{column: by_case[case] for column, by_case in asked.groups.items()},
            **{m: None if math.isnan(v) else v for m, v in zip(asked.settings.metrics, row, strict=True)},
        }
        for case, by_label in zip(cases, values.tolist(), strict=True)
        for (i, name), row in zip(names.items(), by_label, strict=True)
    ]
