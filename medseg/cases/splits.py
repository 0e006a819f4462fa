"""Divide cases into training, validation and test, each by its id alone."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from medseg.cases.find import Case
from medseg.errors import InputError, some
from medseg.files import write_json

SUBSETS = ("training", "validation", "test")


def split_cases(
    cases: Sequence[Case], *, seed: int = 0, validation: float = 0.2, test: float = 0.0
) -> dict[str, list[str]]:
    """Divide case ids into training, validation and test.

    Each id's place follows from the seed and the id alone, so that the order of files does not matter
    and a case added later moves few others.

    Returns
    -------
    dict
        ``{"training": [...], "validation": [...], "test": [...]}``; training and, where its share is not
        zero, each other part hold at least one case.
    """
    ids = sorted(
        (case["id"] for case in cases), key=lambda name: hashlib.sha256(f"{seed}/{name}".encode()).hexdigest()
    )
    sizes = [max(1, round(len(ids) * share)) if share > 0 else 0 for share in (validation, test)]
    if len(ids) - sum(sizes) < 1:
        raise InputError("CASES_EMPTY", f"{len(ids)} cases are too few to train and validate on; add some")
    first, second = sizes[0], sum(sizes)
    return {
        "training": sorted(ids[second:]),
        "validation": sorted(ids[:first]),
        "test": sorted(ids[first:second]),
    }


def load_or_make_split(path: str | Path, cases: Sequence[Case], **settings: Any) -> dict[str, list[str]]:
    """Return the split at `path`, a JSON file, made there by `split_cases` where there is none yet."""
    path = Path(path)
    if not path.is_file():
        split = split_cases(cases, **settings)
        write_json(path, {**settings, **split})
        return split
    return read_split(path, cases)


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
    known = {case["id"] for case in cases}
    strangers = [name for names in split.values() for name in names if name not in known]
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
