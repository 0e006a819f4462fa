"""What has to be said beside the numbers: cases left out, labels that are nowhere, grids that were changed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from medseg.errors import some
from medseg.evaluation.comparison import Compared
from medseg.evaluation.groups import NOT_GIVEN


def notes_of(
    ids: Sequence[str],
    by_model: Sequence[Sequence[Compared]],
    names: Mapping[int, str],
    models: Sequence[str],
    without_prediction: Sequence[Sequence[str]],
) -> dict[str, Any]:
    """Return what is to be said of the cases: left out, absent labels, resampled."""
    absent = {"references": _absent((one.reference_ids for one in by_model[0]), names)}
    for key, compared in zip(("predictions", "second"), by_model, strict=False):
        absent[key] = _absent((one.ids for one in compared), names)
    moved = [
        name for name, of in zip(ids, zip(*by_model, strict=True), strict=True) if any(o.resampled for o in of)
    ]
    outside = [
        name for name, of in zip(ids, zip(*by_model, strict=True), strict=True) if any(o.outside for o in of)
    ]
    without = dict(zip(models, map(list, without_prediction), strict=False))
    return {
        "without_prediction": without if len(models) > 1 else without[models[0]],
        "absent_labels": absent,
        "resampled": moved,
        "outside_prediction": outside,
    }


def _absent(found: Iterable[set[int]], names: Mapping[int, str]) -> list[str]:
    there = set().union(*found)
    return [name for i, name in names.items() if i not in there]


def warnings_of(summary: Mapping[str, Any], without_group: Sequence[str], models: Sequence[str]) -> list[str]:
    """Return in words what a reader of the numbers has to know."""
    without = summary["without_prediction"]
    without = without if isinstance(without, dict) else {"": without}
    of = [f" of {model}" for model in models] if len(models) > 1 else [""]
    absent = summary["absent_labels"]
    predicted = [labels for key, labels in absent.items() if key != "references"]
    outside = "cases whose reference reaches beyond the prediction's grid, which counts as background there"
    told = [
        *zip((f"references without a prediction{who}, left out" for who in of), without.values(), strict=True),
        ("labels that no reference holds", absent["references"]),
        *zip((f"labels that no prediction{who} holds" for who in of), predicted, strict=True),
        ("cases whose prediction was brought to the reference's grid by nearest neighbour", summary["resampled"]),
        (outside, summary["outside_prediction"]),
        (f"cases that are not in the table of subgroups, in the group {NOT_GIVEN}", without_group),
    ]
    return [f"{text}: {some(items)}" for text, items in told if items]
