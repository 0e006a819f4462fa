"""What an evaluation computes and shows, checked before anything is done."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from medseg.bundle import Metadata
from medseg.cases import Case
from medseg.errors import InputError, some
from medseg.evaluation.groups import Groups, read_groups
from medseg.metrics import DEFAULT_METRICS, check_hd95, check_metrics


@dataclass(frozen=True)
class Options:
    """What an evaluation is asked for, unchecked.

    Attributes
    ----------
    bundle, metrics, hd95, tolerance_mm, resample, groups, show
        As for `medseg.evaluate`.
    """

    bundle: str | Path | None = None
    metrics: str | Sequence[str] | None = None
    hd95: str = "directed-max"
    tolerance_mm: float | Mapping[Any, float] = 1.0
    resample: bool = False
    groups: str | Path | None = None
    show: str | Sequence[str] = ()


@dataclass(frozen=True)
class Settings:
    """What is computed of each case.

    Attributes
    ----------
    metrics
        Names from `medseg.metrics.METRICS`, or ``nsd_<t>mm``.
    hd95
        Definition of HD95 and the other distances.
    tolerance_mm
        Of ``nsd``: one for all labels, or by label id.
    resample
        Bring a prediction on another grid to the reference's, instead of refusing it.
    regions
        Of a bundle whose regions overlap: the ids of each, by that which it is painted with.
    ignore_label
        Id of the reference's voxels that count in no metric; None for none.
    """

    metrics: tuple[str, ...] = DEFAULT_METRICS
    hd95: str = "directed-max"
    tolerance_mm: float | dict[int, float] = 1.0
    resample: bool = False
    regions: Mapping[int, Sequence[int]] = field(default_factory=dict)
    ignore_label: int | None = None

    def labels_of(self, ids: Collection[int]) -> set[int]:
        """Return the labels that ids of a label map stand for: of regions all that have one of them."""
        if not self.regions:
            return set(ids) - {self.ignore_label}
        return {i for i, union in self.regions.items() if not set(union).isdisjoint(ids)}


@dataclass(frozen=True)
class Asked:
    """What an evaluation is asked for, checked against its cases.

    Attributes
    ----------
    settings
        What is computed.
    groups
        The user's subgroups, by column and case.
    without_group
        The cases that the table of subgroups lacks.
    show
        The cases that the report must show.
    """

    settings: Settings
    groups: Groups
    without_group: Sequence[str]
    show: Sequence[str]


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


def of_bundle(settings: Settings, metadata: Metadata) -> Settings:
    """Return `settings` with what a bundle says of overlapping regions and of voxels that nobody labelled.

    Raises
    ------
    InputError
        `CONFIG_BAD_VALUE`: the metric ece, which cannot leave voxels out.
    """
    if metadata.ignore_label is not None and "ece" in settings.metrics:
        raise InputError("CONFIG_BAD_VALUE", "metric ece: it cannot leave out voxels of ignore_label, a bundle's")
    unions = {i: tuple(metadata.regions[name]) for i, name in metadata.label_names.items() if metadata.regions}
    return replace(settings, regions=unions, ignore_label=metadata.ignore_label)


def check_tolerances(settings: Settings, labels: Collection[int]) -> None:
    """Refuse tolerances by label that leave a label out."""
    if isinstance(settings.tolerance_mm, dict):
        without = sorted(set(labels) - set(settings.tolerance_mm))
        if without:
            raise InputError("CONFIG_BAD_VALUE", f"tolerance_mm has no number of mm for label {without[0]}")


def check_call(cases: Sequence[Case], options: Options) -> Asked:
    """Return what is asked for, before anything is done.

    Raises
    ------
    InputError
        `CASES_DUPLICATE_ID`, `CASES_EMPTY`, `CONFIG_BAD_VALUE`, `FILE_MISSING`, `GROUPS_BAD_TABLE`.
    """
    settings = checked(options.metrics, options.hd95, options.tolerance_mm, options.resample)
    if not cases:
        raise InputError("CASES_EMPTY", "there is no case to evaluate; give a folder of predictions")
    ids = sorted(case["id"] for case in cases)
    repeated = [name for name, after in pairwise(ids) if name == after]
    if repeated:
        raise InputError("CASES_DUPLICATE_ID", f"several cases are called {some(repeated)}; rename them")
    shown = [options.show] if isinstance(options.show, str) else list(options.show)
    strangers = [name for name in shown if name not in ids]
    if strangers:
        raise InputError("CONFIG_BAD_VALUE", f"show {some(strangers)}: no such case; there are {some(ids)}")
    if options.groups is None:
        return Asked(settings, {}, [], shown)
    return Asked(settings, *read_groups(options.groups, ids, settings.metrics), shown)
