"""Train the folds of a data set, one after the other, and make one bundle of them."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from medseg.bundle import META, open_config, run_bundle
from medseg.cases import FOLDS, Case, choose_cases, find_cases, fold_split
from medseg.cross_validation.output import check_output
from medseg.cross_validation.result import write_result
from medseg.errors import InputError
from medseg.files import write_json
from medseg.prediction import fail_if_any

log = logging.getLogger(__name__)

RECORD = "folds.json"
OF_PREDICTION = ("device", "precision")
NO_POSTPROCESSING: dict[str, Any] = {f"{META}::medseg::postprocessing::largest_component": []}


def train_folds(
    bundle: str | Path, data: str | Path, folds: str | int | Sequence[int], overrides: Mapping[str, Any]
) -> dict[str, Any]:
    """Train folds into ``OUTPUT_DIR/fold_k``, judge each on what it held out, and make ``OUTPUT_DIR`` a bundle.

    A rerun goes on where it was stopped.

    Parameters
    ----------
    bundle, data, overrides
        As for `medseg.train`.
    folds
        ``"all"``, or some of 0 to 4.

    Returns
    -------
    dict
        As ``OUTPUT_DIR/folds.json``: each fold's outcome, the postprocessing chosen, ``summary`` of all cases
        out of fold.

    Raises
    ------
    InputError
        As training does; `CONFIG_BAD_VALUE`: no such folds, or a split beside them.
    Stopped
        As `medseg.train`.
    """
    numbers = _numbers(folds)
    given = {key: value for key, value in overrides.items() if key != "output_dir"}
    if twice := sorted({"fold", "split_file"} & set(given)):
        raise InputError("CONFIG_BAD_VALUE", f"folds and {twice[0]}: give one of the two")
    config = open_config(bundle, "training", given)
    output = Path(overrides.get("output_dir", f"runs/{config.metadata.name}")).expanduser()
    cases = find_cases(data, labelled=True)
    held_out = {
        k: choose_cases(cases, fold_split(cases, k, patients=given.get("patients")), "validation") for k in numbers
    }
    record = _opened(output, cases, bundle, given)
    for k in numbers:
        if str(k) in record["folds"]:
            log.info("fold %d is done already", k)
            continue
        log.info("fold %d, %d of %d", k, numbers.index(k) + 1, len(numbers))
        run = output / f"fold_{k}"
        done = run_bundle(bundle, "training", dataset_dir=str(data), output_dir=str(run), fold=k, **given)
        _predict(run, held_out[k], given)
        record["folds"][str(k)] = done["outcome"]
        write_json(output / RECORD, record)
    return write_result(output, held_out, record)


def _numbers(folds: str | int | Sequence[int]) -> list[int]:
    asked = list(range(FOLDS)) if folds == "all" else [folds] if isinstance(folds, int) else folds
    if isinstance(asked, str) or not asked or not {*asked} <= {*range(FOLDS)}:
        raise InputError(
            "CONFIG_BAD_VALUE", f"folds {folds!r}: 'all', or some of 0 to {FOLDS - 1}, such as [0, 1]"
        )
    return sorted({*asked})


def _opened(output: Path, cases: Sequence[Case], bundle: str | Path, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is recorded of the folds there, or start a record."""
    check_output(cases, output, RECORD)
    settings = json.loads(json.dumps({"bundle": str(bundle), **given}, default=str))
    path = output / RECORD
    if path.is_file() and given.get("resume", True):
        record = json.loads(path.read_text(encoding="utf-8"))
        if record["settings"] != settings:
            raise InputError(
                "RUN_DIFFERENT_SETTINGS",
                f"{output} holds folds trained with {record['settings']}, not {settings}; give another "
                "output_dir, or resume=False to start anew",
            )
        return record
    record = {"settings": settings, "folds": {}}
    write_json(path, record)
    return record


def _predict(run: Path, cases: Sequence[Case], given: Mapping[str, Any]) -> None:
    """Predict what a fold held out, without postprocessing, which is chosen later."""
    chosen = {key: given[key] for key in OF_PREDICTION if key in given}
    folder = run / "predictions"
    records = run_bundle(
        run, "inference", cases=list(cases), output_dir=str(folder), **chosen, **NO_POSTPROCESSING
    )
    fail_if_any(records, folder)
