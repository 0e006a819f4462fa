"""Folders of label maps to a per-case table, a summary with intervals, and pictures of the worst cases."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from medseg.bundle import label_names, read_metadata, run_bundle
from medseg.cases import LAYOUTS, Case, check_same_grid, find_cases
from medseg.errors import InputError
from medseg.metrics import DEFINITIONS, EMPTY_POLICY, METRICS, compare
from medseg.prediction import fail_if_any
from medseg.read import Volume, read_volume
from medseg.report import may_be_shown, write_overlay
from medseg.write import write_csv, write_json

log = logging.getLogger(__name__)
BOOTSTRAP_DRAWS = 2000
WORST_SHOWN = 3


def evaluate_folders(
    predictions: str | Path, references: str | Path, output: str | Path, *, bundle: str | Path | None = None
) -> dict[str, Any]:
    """Evaluate every prediction against the reference of the same name; see `medseg.evaluate`.

    Raises
    ------
    InputError
        `CASES_MISSING_LABEL` for a prediction without a reference, `GEOMETRY_LABEL_GRID`,
        `LABEL_UNKNOWN_ID`, and what finding and reading refuse.
    """
    predicted = {case["id"]: case["image"] for case in find_cases(predictions)}
    wanted = {case["id"]: case for case in find_references(references)}
    strangers = sorted(set(predicted) - set(wanted))
    if strangers:
        raise InputError("CASES_MISSING_LABEL", f"{references} has no reference for {strangers[0]}")
    cases = [{**wanted[name], "prediction": path} for name, path in predicted.items()]
    names = label_names(read_metadata(bundle)) if bundle else None
    without = sorted(set(wanted) - set(predicted))
    return evaluate_cases(cases, output, names=names, without_prediction=without)


def find_references(path: str | Path) -> list[Case]:
    """Return the labelled cases of a data set, or those of a folder of label maps.

    Beside ``labels/`` or ``labelsTr/``, the images give the pictures their background.
    """
    path = Path(path).expanduser().resolve()
    if (path / "dataset.json").is_file() or any((path / labels).is_dir() for _, labels in LAYOUTS):
        return find_cases(path, labelled=True)
    sibling = {labels: images for images, labels in LAYOUTS}.get(path.name)
    images = {}
    if sibling and (path.parent / sibling).is_dir():
        images = {case["id"]: case["image"] for case in find_cases(path.parent / sibling)}
    return [
        {
            "id": case["id"],
            "label": case["image"],
            **({"image": images[case["id"]]} if case["id"] in images else {}),
        }
        for case in find_cases(path)
    ]


def evaluate_bundle(
    bundle: str | Path, cases: Sequence[Case], output_dir: str | Path, **how: Any
) -> dict[str, Any]:
    """Predict `cases` with a bundle into ``predictions/`` and evaluate them; what ``evaluate.json`` runs."""
    output_dir = Path(output_dir)
    folder = output_dir / "predictions"
    fail_if_any(run_bundle(bundle, "inference", cases=list(cases), output_dir=str(folder), **how), folder)
    with_prediction = [{**case, "prediction": str(folder / f"{case['id']}.nii.gz")} for case in cases]
    return evaluate_cases(with_prediction, output_dir, names=label_names(read_metadata(bundle)))


def evaluate_cases(
    cases: Sequence[Case],
    output: str | Path,
    *,
    names: Mapping[int, str] | None,
    without_prediction: Sequence[str] = (),
) -> dict[str, Any]:
    """Compare each case's ``prediction`` with its ``label``; write the tables and pictures; return the summary."""
    output = Path(output)
    ids = set(names) if names else _ids_in(cases)
    names = dict(names) if names else {i: str(i) for i in sorted(ids)}
    with ThreadPoolExecutor(2) as pool:
        compared = list(pool.map(lambda case: _compare_case(case, names), cases))
    rows = [
        {"case": case["id"], "label": i, "name": names[i], **{m: _or_empty(values[m]) for m in METRICS}}
        for case, by_label in zip(cases, compared, strict=True)
        for i, values in by_label.items()
    ]
    summary = {**summarize(compared, names), "without_prediction": list(without_prediction)}
    write_csv(output / "cases.csv", rows)
    write_json(output / "summary.json", summary)
    for place, index in enumerate(_worst_first(compared)[:WORST_SHOWN], start=1):
        _picture(cases[index], compared[index], names, output / "overlays", place)
    for entry in summary["labels"].values():
        dice, hd95 = entry["dice"]["mean"], entry["hd95_mm"]["mean"]
        log.info("%s: mean Dice %s, HD95 %s mm", entry["name"], _shown(dice), _shown(hd95))
    log.info("%d cases compared; cases.csv, summary.json and overlays/ are in %s", len(cases), output)
    return summary


def _shown(value: float | None) -> str:
    return "none" if value is None else f"{value:.3f}"


def _ids_in(cases: Sequence[Case]) -> set[int]:
    volumes = (read_volume(case[key]) for case in cases for key in ("prediction", "label"))
    return {int(i) for volume in volumes for i in np.unique(volume.array)} - {0}


def _compare_case(case: Case, names: Mapping[int, str]) -> dict[int, dict[str, float]]:
    prediction, reference = read_volume(case["prediction"]), read_volume(case["label"])
    check_same_grid(case["id"], prediction, reference)
    for volume, path in ((prediction, case["prediction"]), (reference, case["label"])):
        unknown = sorted({int(i) for i in np.unique(volume.array)} - {0, *names})
        if unknown:
            raise InputError("LABEL_UNKNOWN_ID", f"{path} holds label {unknown[0]}; known are {sorted(names)}")
    return compare(prediction.array, reference.array, spacing_mm=reference.spacing_mm, labels=list(names))


def summarize(compared: Sequence[Mapping[int, Mapping[str, float]]], names: Mapping[int, str]) -> dict[str, Any]:
    """Return ``summary.json``'s content from each case's ``{label: {metric: value}}``.

    ``mean`` holds the statistics over cases of each case's mean over labels.
    """
    labels = {
        str(i): {
            "name": name,
            "n": len(compared),
            "n_excluded": sum(math.isnan(case[i]["dice"]) for case in compared),
            **{metric: statistics([case[i][metric] for case in compared]) for metric in METRICS},
        }
        for i, name in names.items()
    }
    overall = {metric: statistics([_mean_over_labels(case, metric) for case in compared]) for metric in METRICS}
    return {
        "labels": labels,
        "mean": {"n": len(compared), **overall},
        "definitions": DEFINITIONS,
        "policy": {
            **EMPTY_POLICY,
            "ci95": f"percentile bootstrap of the mean, {BOOTSTRAP_DRAWS} draws, seed 0",
        },
    }


def _mean_over_labels(case: Mapping[int, Mapping[str, float]], metric: str) -> float:
    values = [v for by_metric in case.values() if not math.isnan(v := by_metric[metric])]
    return float(np.mean(values)) if values else math.nan


def statistics(values: Sequence[float]) -> dict[str, Any]:
    """Return mean, median, standard deviation and the mean's 95 % interval; NaN values are left out."""
    kept = np.array([v for v in values if not math.isnan(v)])
    if not kept.size:
        return {"mean": None, "median": None, "sd": None, "ci95": [None, None]}
    draws = np.random.default_rng(0).choice(kept, (BOOTSTRAP_DRAWS, kept.size)).mean(axis=1)
    return {
        "mean": float(kept.mean()),
        "median": float(np.median(kept)),
        "sd": float(kept.std(ddof=1)) if kept.size > 1 else 0.0,
        "ci95": [float(np.percentile(draws, 2.5)), float(np.percentile(draws, 97.5))],
    }


def _worst_first(compared: Sequence[Mapping[int, Mapping[str, float]]]) -> list[int]:
    scores = [_mean_over_labels(case, "dice") for case in compared]
    return sorted(range(len(scores)), key=lambda i: (math.isnan(scores[i]), scores[i]))


def _picture(
    case: Case, values: Mapping[int, Mapping[str, float]], names: Mapping[int, str], folder: Path, place: int
) -> None:
    prediction, reference = read_volume(case["prediction"]), read_volume(case["label"])
    try:
        image = read_volume(case["image"]) if "image" in case else None
    except InputError as error:  # a folder of several series, say: the numbers stand without it
        log.warning("%s: drawn without its image (%s)", case["id"], error.code)
        image = None
    if image is not None and not may_be_shown(image.codes):
        log.warning("%s: no picture, since text is burned into its image", case["id"])
        return
    if image is None or image.array.shape != reference.array.shape:
        image = Volume(array=np.zeros(reference.array.shape, np.float32), affine=reference.affine)
    dice, hd95 = _mean_over_labels(values, "dice"), _mean_over_labels(values, "hd95_mm")
    write_overlay(
        folder / f"worst_{place}_{case['id']}.png",
        title=f"{case['id']}: Dice {dice:.3f}, HD95 {hd95:.2f} mm",
        image=image.array,
        reference=reference.array.astype(np.int64),
        prediction=prediction.array.astype(np.int64),
        spacing_mm=reference.spacing_mm,
        label_names=names,
    )


def _or_empty(value: float) -> float | str:
    return "" if math.isnan(value) else round(value, 6)
