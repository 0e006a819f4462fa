"""Divide cases into training, validation and test: by their ids alone, or as one of nnU-Net's five folds."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from medseg.cases.listed import Case
from medseg.cases.patients import patients_of
from medseg.errors import InputError, some
from medseg.files import write_json

SUBSETS = ("training", "validation", "test")
FOLDS = 5
FOLD_SEED = 12345  # nnU-Net's


def split_cases(
    cases: Sequence[Case],
    *,
    seed: int = 0,
    validation: float = 0.2,
    test: float = 0.0,
    by_patient: bool = False,
    patients: str | Path | None = None,
) -> dict[str, list[str]]:
    """Divide case ids into training, validation and test.

    Each id's place follows from the seed and the id alone, so that the order of files does not matter
    and a case added later moves few others.

    Parameters
    ----------
    by_patient
        Divide patients in the same way, whole; ids say who they are (`patients_of`).
    patients
        A table that says which patient a case is of; patients are then divided too.

    Returns
    -------
    dict
        ``{"training": [...], "validation": [...], "test": [...]}``; training and, where its share is not
        zero, each other part hold at least one case.
    """
    apart = by_patient or patients is not None
    of = patients_of(cases, patients) if apart else {case["id"]: case["id"] for case in cases}
    ids = sorted(set(of.values()), key=lambda name: hashlib.sha256(f"{seed}/{name}".encode()).hexdigest())
    sizes = [max(1, round(len(ids) * share)) if share > 0 else 0 for share in (validation, test)]
    if len(ids) - sum(sizes) < 1:
        raise InputError("CASES_EMPTY", f"{len(ids)} cases are too few to train and validate on; add some")
    first, second = sizes[0], sum(sizes)
    return {
        "training": _of_patients(of, ids[second:]),
        "validation": _of_patients(of, ids[:first]),
        "test": _of_patients(of, ids[first:second]),
    }


def fold_split(cases: Sequence[Case], fold: int, *, patients: str | Path | None = None) -> dict[str, list[str]]:
    """Return one of nnU-Net's five folds: a fifth of the cases to validate, the rest to train.

    Patients are sorted and shuffled as by scikit-learn's ``KFold(5, shuffle=True, random_state=12345)``, which is
    nnU-Net's rule for cases; where each patient has one case, the folds are nnU-Net's own.

    Parameters
    ----------
    fold
        0 to 4.
    patients
        A table that says which patient a case is of; without one, the ids say (`patients_of`).

    Raises
    ------
    InputError
        `CONFIG_BAD_VALUE`: no such fold; `CASES_EMPTY`: fewer than five patients; as `patients_of`.
    """
    if isinstance(fold, bool) or fold not in range(FOLDS):
        raise InputError("CONFIG_BAD_VALUE", f"fold {fold!r}: 0 to {FOLDS - 1}, or null for the seeded split")
    of = patients_of(cases, patients)
    who = sorted(set(of.values()))
    if len(who) < FOLDS:
        raise InputError("CASES_EMPTY", f"{len(who)} patients are too few for {FOLDS} folds; add some")
    order = np.arange(len(who))
    np.random.RandomState(FOLD_SEED).shuffle(order)  # another generator gives other folds
    held_out = {who[place] for place in np.array_split(order, FOLDS)[fold]}
    return {
        "training": _of_patients(of, set(who) - held_out),
        "validation": _of_patients(of, held_out),
        "test": [],
    }


def _of_patients(of: Mapping[str, str], wanted: Sequence[str] | set[str]) -> list[str]:
    chosen = set(wanted)
    return sorted(name for name, patient in of.items() if patient in chosen)


def load_or_make_split(
    path: str | Path,
    cases: Sequence[Case],
    *,
    fold: int | None = None,
    patients: str | Path | None = None,
    **settings: Any,
) -> dict[str, list[str]]:
    """Return the split at `path`, a JSON file, made there where there is none yet.

    Parameters
    ----------
    fold, patients
        As for `fold_split`; without a fold, `split_cases` makes the split.
    settings
        Of `split_cases`.

    Raises
    ------
    InputError
        `CONFIG_BAD_VALUE`: the split there is not the fold that is asked for; as `read_split`, `fold_split`.
    """
    path = Path(path)
    if path.is_file():
        split = read_split(path, cases)
        if fold is not None and split != fold_split(cases, fold, patients=patients):
            raise InputError(
                "CONFIG_BAD_VALUE", f"{path} is not fold {fold} of these cases; leave out split_file or fold"
            )
        return split
    if fold is None:
        split = split_cases(cases, patients=patients, **settings)
        write_json(path, {**settings, **split})
    else:
        split = fold_split(cases, fold, patients=patients)
        write_json(path, {"fold": fold, **split})
    return split


def read_split(path: str | Path, cases: Sequence[Case]) -> dict[str, list[str]]:
    """Return the split at `path`, of cases that are all among `cases`."""
    path = Path(path)
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        split = {name: list(stored[name]) for name in SUBSETS}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            "FILE_UNREADABLE", f"{path} is no split: lists {', '.join(SUBSETS)} are needed"
        ) from error
    listed = [name for names in split.values() for name in names]
    if twice := sorted({name for name in listed if listed.count(name) > 1}):
        raise InputError(
            "CONFIG_BAD_VALUE", f"{path} names {some(twice)} more than once; a case is in one part, and once"
        )
    known = {case["id"] for case in cases}
    strangers = [name for name in listed if name not in known]
    if strangers:
        raise InputError("CASES_NOT_IN_DATASET", f"{path} names {some(strangers)}, which are not in the data set")
    return split


def choose_cases(cases: Sequence[Case], split: Mapping[str, Sequence[str]], subset: str) -> list[Case]:
    """Return the cases of ``training``, ``validation`` or ``test``, or ``all``, in the order of `cases`."""
    if subset == "all":
        return list(cases)
    if subset not in split:
        raise InputError("CONFIG_BAD_VALUE", f"--subset {subset!r}: all, {', '.join(SUBSETS)} are known")
    wanted = set(split[subset])
    if not wanted:
        raise InputError("CASES_EMPTY", f"the split has no {subset} cases; change its shares or the subset")
    return [case for case in cases if case["id"] in wanted]
