"""Folders of label maps, one model's or two, to ``cases.csv``, ``summary.json`` and ``report.html``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

from medseg.bundle import read_metadata, run_bundle
from medseg.cases import Case, check_apart, find_cases
from medseg.errors import InputError, some
from medseg.evaluation.comparison import PREDICTIONS, Compared, compare_case
from medseg.evaluation.files import write_evaluation
from medseg.evaluation.folders import check_not_references, check_output, find_references, readable
from medseg.evaluation.settings import Options, Settings, check_call, check_tolerances, of_bundle

THREADS = 2


def evaluate_folders(
    predictions: str | Path,
    references: str | Path,
    output: str | Path,
    options: Options,
    *,
    compare_with: str | Path | None = None,
) -> dict[str, Any]:
    """Evaluate every prediction against the reference of the same name; see `medseg.evaluate`.

    Raises
    ------
    InputError
        `CASES_MISSING_LABEL` for a prediction without a reference, what `check_output`, `check_not_references`,
        `evaluate_cases`, finding and reading refuse.
    """
    check_output(output, options.groups)
    folders = [predictions] if compare_with is None else [predictions, compare_with]
    predicted = [{case["id"]: case["image"] for case in find_cases(folder, nested=False)} for folder in folders]
    wanted = {case["id"]: case for case in find_references(references)}
    check_not_references(folders, references, list(wanted.values()))
    for folder, paths in zip(folders, predicted, strict=True):
        strangers = sorted(set(paths) - set(wanted))
        if strangers:
            raise InputError(
                "CASES_MISSING_LABEL",
                f"{references} has no reference for {some(strangers)}, which {folder} has; add it, or take the "
                "prediction out",
            )
    both = sorted(set.intersection(*map(set, predicted)))
    if not both:
        raise InputError("CASES_EMPTY", f"{folders[0]} and {folders[-1]} have no case in common")
    cases = [
        {**wanted[name], **{key: paths[name] for key, paths in zip(PREDICTIONS, predicted, strict=False)}}
        for name in both
    ]
    without = [sorted(map(readable, set(wanted) - set(paths))) for paths in predicted]
    return evaluate_cases(cases, output, options, without_prediction=without)


def evaluate_bundle(
    bundle: str | Path,
    cases: Sequence[Case],
    output_dir: str | Path,
    options: Options | None = None,
    *,
    prediction: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Predict `cases` with a bundle into ``predictions/`` and evaluate them; what ``evaluate.json`` runs.

    Parameters
    ----------
    options
        As in `medseg.evaluate`; the bundle names the labels.
    prediction
        Values of ``inference.json``, such as ``weights`` and ``device``.
    """
    from medseg.prediction import fail_if_any

    options = replace(options or Options(), bundle=bundle)
    overrides = dict(prediction or {})
    if "ece" in check_call(cases, options).settings.metrics:  # refused now, for predicting may take hours
        overrides["formats"] = ["nifti", "probabilities"]
    check_output(output_dir, options.groups)
    check_apart(cases, output_dir)
    folder = Path(output_dir) / "predictions"
    records = run_bundle(bundle, "inference", cases=list(cases), output_dir=str(folder), **overrides)
    fail_if_any(records, folder)
    with_prediction = [{**case, "prediction": str(folder / f"{case['id']}.nii.gz")} for case in cases]
    return evaluate_cases(with_prediction, output_dir, options)


def evaluate_cases(
    cases: Sequence[Case],
    output: str | Path,
    options: Options | None = None,
    *,
    names: Mapping[int, str] | None = None,
    without_prediction: Sequence[Sequence[str]] = ((), ()),
) -> dict[str, Any]:
    """Compare each case's ``prediction``, and ``second`` if there, with its ``label``; write the files.

    Parameters
    ----------
    cases
        Each with ``id``, ``label``, ``prediction``, perhaps ``image``, and all or none with ``second``; paths.
    output
        Folder to write to.
    options
        As in `medseg.evaluate`.
    names
        The labels' names by id; other ids are then refused. By default those of the bundle, if one is given.
    without_prediction
        For each model the ids that it has no prediction of; they are named in the summary.

    Returns
    -------
    dict
        What ``summary.json`` holds.

    Raises
    ------
    InputError
        `CASES_DUPLICATE_ID`, `CASES_EMPTY`, `CONFIG_BAD_VALUE`, `GROUPS_BAD_TABLE`, and what is wrong with the
        first case that cannot be compared (see `compare_case`), naming the others: numbers of the rest alone would
        look like those of all.
    """
    cases = sorted(({**case, "id": readable(case["id"])} for case in cases), key=lambda case: case["id"])
    options = options or Options()
    check_apart(cases, output)
    asked = check_call(cases, options)
    if names is None and options.bundle is not None:
        metadata = read_metadata(options.bundle)
        names = metadata.label_names
        asked = replace(asked, settings=of_bundle(asked.settings, metadata))
    compared = compare_all(cases, asked.settings, names)
    if names is None:
        found = sorted({i for models in compared for one in models for i in one.ids | one.reference_ids})
        names = {i: str(i) for i in found}
    if not names:
        raise InputError("CASES_EMPTY", "no label is in any prediction or reference: there is nothing to compare")
    check_tolerances(asked.settings, names)
    return write_evaluation(
        Path(output).expanduser(),
        cases,
        compared,
        asked=asked,
        names=names,
        bundle=options.bundle,
        without_prediction=without_prediction,
    )


def compare_all(
    cases: Sequence[Case], settings: Settings, names: Mapping[int, str] | None
) -> list[list[Compared]]:
    """Return what each case's predictions gave, in the order of the cases; refuse all if one cannot be compared.

    Every case is looked at, so that one error names all that are to be mended.
    """
    failing = Event()

    def attempt(case: Case) -> list[Compared] | InputError:
        try:
            return compare_case(case, settings, names, only_check=failing.is_set())
        except InputError as error:
            failing.set()
            return error

    with ThreadPoolExecutor(THREADS) as pool:
        results = list(pool.map(attempt, cases))
    problems = [(case["id"], r) for case, r in zip(cases, results, strict=True) if isinstance(r, InputError)]
    if problems:
        (_, first), *others = problems
        more = f"; so cannot {some([f'{name} ({error.code})' for name, error in others])}" if others else ""
        told = (
            f"{len(problems)} of {len(cases)} cases cannot be compared, and nothing was written: "
            if others
            else ""
        )
        raise InputError(first.code, f"{told}{first.args[0]}{more}")
    return [result for result in results if not isinstance(result, InputError)]
