"""What an evaluation leaves: the summary put together, ``cases.csv``, ``summary.json`` and the report."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from medseg.cases import Case, images_of, on_same_grid, painted
from medseg.errors import InputError
from medseg.evaluation.comparison import PREDICTIONS, Compared, on_grid_of, read_labels
from medseg.evaluation.notes import notes_of, warnings_of
from medseg.evaluation.provenance import folder_name, made_by, versions
from medseg.evaluation.settings import Asked, Settings
from medseg.evaluation.summary import (
    definitions_of,
    differences,
    policy_of,
    rows_of,
    summarize,
    summarize_groups,
    table_of,
)
from medseg.files import sweep, write_csv, write_json
from medseg.read import read_volume
from medseg.report import Views, may_be_shown, write_report

log = logging.getLogger(__name__)


def write_evaluation(
    output: Path,
    cases: Sequence[Case],
    compared: Sequence[Sequence[Compared]],
    *,
    asked: Asked,
    names: Mapping[int, str],
    bundle: str | Path | None,
    without_prediction: Sequence[Sequence[str]],
) -> dict[str, Any]:
    """Write an evaluation's files and return its summary; see `medseg.evaluation.evaluate_cases`.

    `compared` has of each case what its predictions gave, one or two.
    """
    ids, by_model = [case["id"] for case in cases], list(zip(*compared, strict=True))
    tables = [table_of(one, list(names), asked.settings) for one in by_model]
    models = model_names([[case[key] for case in cases] for key, _ in zip(PREDICTIONS, by_model, strict=False)])
    summary = summarize(tables[0], names, asked.settings.metrics)
    summary |= {"definitions": definitions_of(asked.settings)}
    summary |= {"policy": policy_of(asked.settings, two_models=len(models) > 1)}
    summary |= notes_of(ids, by_model, names, models, without_prediction)
    summary |= _by_group(tables[0], ids, names, asked)
    if len(models) > 1:
        second = summarize(tables[1], names, asked.settings.metrics) | _by_group(tables[1], ids, names, asked)
        difference = differences(tables[0], tables[1], names, asked.settings.metrics)
        summary["comparison"] = {"models": models, "second": second, "difference": difference}
    summary["provenance"], notes = _provenance(cases, by_model, asked.settings, bundle)
    summary["warnings"] = [*warnings_of(summary, asked.without_group, models), *notes]
    rows = [
        row
        for model, table in zip(models, tables, strict=True)
        for row in rows_of(table, ids, names, asked, model if len(models) > 1 else None)
    ]
    sweep(output)
    for name in ("report.html", "cases.csv"):  # of older numbers, should this run be killed before its own
        (output / name).unlink(missing_ok=True)
    write_json(output / "summary.json", summary)  # first, since by it the folder is known for ours
    write_csv(output / "cases.csv", rows)
    write_report(output, summary, rows, cases, partial(views, settings=asked.settings), show=asked.show)
    for warning in summary["warnings"]:
        log.warning("%s", warning)
    log.info("%d cases compared; cases.csv, summary.json and report.html are in %s", len(cases), output)
    return summary


def _by_group(table: np.ndarray, ids: Sequence[str], names: Mapping[int, str], asked: Asked) -> dict[str, Any]:
    if not asked.groups:
        return {}
    return {"groups": summarize_groups(table, ids, asked.groups, names, asked.settings.metrics)}


def model_names(predictions: Sequence[Sequence[str]]) -> list[str]:
    """Return a short name for each model: its folder's, with as much of the path as tells two apart."""
    folders = [Path(paths[0]).absolute().parent for paths in predictions]
    steps = [folder.parts[1:] for folder in folders]  # without the root
    for depth in range(1, max(map(len, steps)) + 1):
        names = ["/".join(its[-depth:]) for its in steps]
        if len(set(names)) == len(names):
            return names
    return [f"{folder.name} ({place})" for place, folder in enumerate(folders, start=1)]


def _provenance(
    cases: Sequence[Case], by_model: Sequence[Sequence[Compared]], settings: Settings, bundle: str | Path | None
) -> tuple[dict[str, Any], list[str]]:
    """Return versions, bundles, names of folders and hashes, and warnings about them."""
    makers, notes = {}, []
    for key, compared in zip(PREDICTIONS, by_model, strict=False):
        paths = {case["id"]: case[key] for case in cases}
        hashes = {case["id"]: one.sha256[key] for case, one in zip(cases, compared, strict=True)}
        maker, doubts = made_by(paths, hashes, bundle if key == PREDICTIONS[0] else None)
        makers[key] = {"predictions": folder_name(list(paths.values())), "bundle": maker}
        notes += doubts
    facts: dict[str, Any] = {
        "medseg": version("medseg"),
        "versions": versions(settings.metrics),
        **makers["prediction"],
        "references": folder_name([case["label"] for case in cases]),
    }
    if "second" in makers:
        facts["second"] = makers["second"]
    facts["sha256"] = {
        case["id"]: {name: digest for one in of for name, digest in one.sha256.items()}
        for case, of in zip(cases, zip(*by_model, strict=True), strict=True)
    }
    return facts, notes


def _shown(labels: np.ndarray, settings: Settings) -> np.ndarray:
    """Return a label map as it is drawn: ignored voxels as background, overlapping regions by their own ids."""
    if settings.regions:
        return painted(labels, {str(i): ids for i, ids in settings.regions.items()})
    return labels if settings.ignore_label is None else labels * (labels != settings.ignore_label)


def views(case: Mapping[str, Any], *, settings: Settings) -> Views:
    """Return a case's volumes on the reference's grid, for pictures; its image is None where none can be shown.

    Of several channels the first is shown.
    """
    reference, wanted = read_labels(case["label"])
    wanted = _shown(wanted, settings)
    maps = []
    for key in PREDICTIONS:
        if key in case:
            volume, labels = read_labels(case[key])
            there = on_grid_of(reference, volume, labels, case["id"], resample=settings.resample)
            maps.append(_shown(there, settings))
    image = None
    try:
        background = read_volume(images_of(case)[0], channels=None) if "image" in case else None
    except InputError as error:  # a folder of several series, say: the numbers stand without it
        log.warning("%s: drawn without its image (%s)", case["id"], error.code)
        background = None
    if background is not None:
        if not may_be_shown(background.codes):
            log.warning("%s: drawn without its image, since text is burned into it", case["id"])
        elif on_same_grid(background, reference):
            image = background.array
        else:
            log.warning("%s: drawn without its image, which lies on another grid", case["id"])
    return Views(
        image=image,
        reference=wanted,
        prediction=maps[0],
        affine=reference.affine,
        second=maps[1] if len(maps) > 1 else None,
    )
