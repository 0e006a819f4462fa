"""What a reader should know before the numbers: best and worst labels, what was missed, invented or left out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from medseg.errors import PROBLEMS_SHOWN
from medseg.metrics import lower_is_better

LISTS = {
    "without_prediction": "References without a prediction, left out of all numbers",
    "resampled": "Predictions brought to the reference's grid by nearest neighbour",
    "outside_prediction": "References that reach beyond the prediction's grid",
}


def findings(summary: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], metric: str) -> dict[str, Any]:
    """Return what the template says in words; `metric` is the one by which labels are ranked."""
    return {
        "extremes": _extremes(summary["labels"], metric),
        "empties": _empties(rows),
        "left_out": [
            (label["name"], ("labels", i, "n_excluded"), ("labels", i, "n"))
            for i, label in summary["labels"].items()
            if label["n_excluded"]
        ],
        "named_lists": list(_named_lists(summary)),
    }


def _extremes(labels: Mapping[str, Mapping[str, Any]], metric: str) -> list[dict[str, Any]]:
    """Return the worst and the best label, if there are two that differ."""
    means = {i: label[metric]["mean"] for i, label in labels.items() if label[metric]["mean"] is not None}
    if len(set(means.values())) < 2:
        return []
    ranked = sorted(means, key=lambda i: means[i], reverse=lower_is_better(metric) is True)
    return [{"name": labels[i]["name"], "path": ("labels", i, metric, "mean")} for i in (ranked[0], ranked[-1])]


def _empties(rows: Sequence[Mapping[str, Any]]) -> list[tuple[str, list[str]]]:
    """Return the structures that are in one of the two maps alone."""
    if not rows or not {"volume_ml", "reference_volume_ml"} <= rows[0].keys():
        return []

    def where(row: Mapping[str, Any]) -> str:
        by = f" by {row['model']}" if row.get("model") else ""
        return f"{row['name']} in {row['case']}{by}"

    missed = [where(row) for row in rows if row["reference_volume_ml"] and not row["volume_ml"]]
    invented = [where(row) for row in rows if row["volume_ml"] and not row["reference_volume_ml"]]
    told = {"Missed altogether": missed, "Invented: only in the prediction": invented}
    return [(text, found) for text, found in told.items() if found]


def _named_lists(summary: Mapping[str, Any]) -> Iterator[tuple[str, list[str]]]:
    """Give in full the lists of the summary that its warnings name the first few of."""
    for key, text in LISTS.items():
        found = summary.get(key) or []
        for whose, names in found.items() if isinstance(found, Mapping) else [(None, found)]:
            if len(names) > PROBLEMS_SHOWN:
                yield (f"{text} ({whose})" if whose else text), names
    for whose, names in (summary.get("absent_labels") or {}).items():
        if len(names) > PROBLEMS_SHOWN:
            yield f"Labels that are in none of the {_absent_from(whose, summary)}", names


def _absent_from(whose: str, summary: Mapping[str, Any]) -> str:
    if whose == "references" or "comparison" not in summary:
        return whose
    return f"predictions of {summary['comparison']['models'][whose == 'second']}"
