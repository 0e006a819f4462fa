"""What an evaluation computes and shows, checked before anything is done."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from medseg.cases import Case
from medseg.errors import InputError, some
from medseg.evaluation.groups import Groups, read_groups
from medseg.metrics import DEFAULT_METRICS, check_hd95, check_metrics


@dataclass(frozen=True)
class Settings:
    """What is computed of each case; see `medseg.evaluate`, and `checked` for what is allowed."""

    metrics: tuple[str, ...] = DEFAULT_METRICS
    hd95: str = "directed-max"
    tolerance_mm: float | dict[int, float] = 1.0
    resample: bool = False


def checked(
    metrics: str | Sequence[str] | None = None,
    hd95: str = "directed-max",
    tolerance_mm: float | Mapping[Any, float] = 1.0,
    resample: bool = False,
) -> Settings:
    """Return the settings of an evaluation; `metrics` are added to the default ones.

    Raises
    ------
    InputError
        `CONFIG_BAD_VALUE`: an unknown metric or definition of HD95, or a tolerance that is negative or no number.
    """
    added = [metrics] if isinstance(metrics, str) else list(metrics or ())
    try:
        check_metrics(added)
        check_hd95(hd95)
    except ValueError as error:
        raise InputError("CONFIG_BAD_VALUE", str(error)) from None
    names = tuple(dict.fromkeys([*DEFAULT_METRICS, *added]))
    return Settings(names, hd95, _tolerance(tolerance_mm), bool(resample))


def _tolerance(given: Any) -> float | dict[int, float]:
    try:
        tolerance = (
            {int(label): float(mm) for label, mm in given.items()} if isinstance(given, Mapping) else float(given)
        )
        values = list(tolerance.values()) if isinstance(tolerance, dict) else [tolerance]
        if values and all(0 <= mm < math.inf for mm in values) and not isinstance(given, bool):
            return tolerance
    except (TypeError, ValueError):
        pass
    raise InputError(
        "CONFIG_BAD_VALUE",
        f"tolerance_mm {given!r}: a number of mm, 0 or more, is needed, or one by label id as {{1: 2.0}}",
    )


def check_tolerances(settings: Settings, labels: Collection[int]) -> None:
    """Refuse tolerances by label that leave a label out."""
    if isinstance(settings.tolerance_mm, dict):
        without = sorted(set(labels) - set(settings.tolerance_mm))
        if without:
            raise InputError("CONFIG_BAD_VALUE", f"tolerance_mm has no number of mm for label {without[0]}")


def check_call(
    cases: Sequence[Case], *, groups: str | Path | None = None, show: str | Sequence[str] = (), **how: Any
) -> tuple[Settings, tuple[Groups, list[str]], list[str]]:
    """Return settings, subgroups with the cases that have none, and the cases to show; see `evaluate_cases`.

    Raises
    ------
    InputError
        `CASES_DUPLICATE_ID`, `CASES_EMPTY`, `CONFIG_BAD_VALUE`, `FILE_MISSING`, `GROUPS_BAD_TABLE`.
    """
    settings = checked(**how)
    if not cases:
        raise InputError("CASES_EMPTY", "there is no case to evaluate; give a folder of predictions")
    ids = sorted(case["id"] for case in cases)
    twice = [name for name, after in pairwise(ids) if name == after]
    if twice:
        raise InputError("CASES_DUPLICATE_ID", f"several cases are called {some(twice)}; rename them")
    shown = [show] if isinstance(show, str) else list(show)
    strangers = [name for name in shown if name not in ids]
    if strangers:
        raise InputError("CONFIG_BAD_VALUE", f"show {some(strangers)}: no such case; there are {some(ids)}")
    return settings, ({}, []) if groups is None else read_groups(groups, ids, settings.metrics), shown
