"""One case: its label maps read, checked, brought to one grid and compared, by the settings of an evaluation."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from medseg.cases import Case
from medseg.errors import InputError
from medseg.label_maps import as_labels, check_ids, check_same_grid, ids_in, on_same_grid, reaches_outside, to_grid
from medseg.metric_table import DEFAULT_METRICS, check_hd95, check_metrics
from medseg.metrics import compare
from medseg.read import Volume, is_nifti, read_volume
from medseg.read.nifti import read_nifti
from medseg.write import sha256_of

PREDICTIONS = ("prediction", "second")  # keys of a case: the label map that is judged, and a second model's


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
        `CONFIG_BAD_VALUE`: an unknown metric or definition of HD95, or a tolerance that is no positive number.
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
        if values and all(0 < mm < math.inf for mm in values) and not isinstance(given, bool):
            return tolerance
    except (TypeError, ValueError):
        pass
    raise InputError(
        "CONFIG_BAD_VALUE",
        f"tolerance_mm {given!r}: a number of mm above 0 is needed, or one for each label id such as {{1: 2.0}}",
    )


def check_tolerances(settings: Settings, labels: Collection[int]) -> None:
    """Refuse tolerances by label that leave a label out."""
    if isinstance(settings.tolerance_mm, dict):
        without = sorted(set(labels) - set(settings.tolerance_mm))
        if without:
            raise InputError("CONFIG_BAD_VALUE", f"tolerance_mm has no number of mm for label {without[0]}")


@dataclass(frozen=True)
class Compared:
    """What one prediction of a case gave: ``{label: {metric: value}}``, and what was found on the way."""

    values: dict[int, dict[str, float]]
    ids: set[int]
    reference_ids: set[int]
    resampled: bool = False
    outside: bool = False
    sha256: dict[str, str] = field(default_factory=dict)


def compare_case(
    case: Case, settings: Settings, names: Mapping[int, str] | None, *, only_check: bool = False
) -> list[Compared]:
    """Compare a case's label maps (see `PREDICTIONS`) with its ``label``.

    Labels that are in neither map are left out where no `names` list them. With `only_check` the files are read
    and checked, and nothing is computed.

    Raises
    ------
    InputError
        What reading refuses; `LABEL_NOT_INTEGER`, `LABEL_UNKNOWN_ID`, `GEOMETRY_LABEL_GRID`, and of the
        calibration error `PROBABILITIES_MISSING`.
    """
    reference, wanted, wanted_ids = _read(case["label"], names)
    compared = []
    for key in PREDICTIONS:
        if key not in case:
            continue
        prediction, found, ids = _read(case[key], names)
        labels = sorted(names or ids | wanted_ids)
        check_tolerances(settings, labels)
        moved = not on_same_grid(prediction, reference)
        there = on_grid_of(reference, prediction, found, case["id"], resample=settings.resample)
        if only_check:
            continue
        values = compare(
            there,
            wanted,
            spacing_mm=reference.spacing_mm,
            labels=labels,
            metrics=[name for name in settings.metrics if name != "ece"],
            hd95=settings.hd95,
            tolerance_mm=settings.tolerance_mm,
        )
        if "ece" in settings.metrics:
            from medseg.case_calibration import calibration_of

            errors = calibration_of(case[key], wanted, reference.affine, labels)
            values = {
                i: {m: ({"ece": errors[i]} | by_metric)[m] for m in settings.metrics}
                for i, by_metric in values.items()
            }
        compared.append(
            Compared(
                values=values,
                ids=ids,
                reference_ids=wanted_ids,
                resampled=moved,
                outside=moved and reaches_outside(wanted.shape, reference.affine, found.shape, prediction.affine),
                sha256={key: _sha256(prediction), "reference": _sha256(reference)},
            )
        )
    return compared


def on_grid_of(
    reference: Volume, prediction: Volume, labels: np.ndarray, name: str, *, resample: bool
) -> np.ndarray:
    """Return the prediction's `labels` on the reference's grid; where that is another, if `resample` allows it.

    Raises
    ------
    InputError
        `GEOMETRY_LABEL_GRID`.
    """
    if on_same_grid(prediction, reference):
        return labels
    if not resample:
        check_same_grid(
            name,
            prediction,
            reference,
            what=("prediction", "reference"),
            remedy="predict on the reference's own image, or give --resample (resample=True) to bring the "
            "prediction to the reference's grid by nearest neighbour",
        )
    return to_grid(labels, prediction.affine, reference.array.shape, reference.affine)


def read_labels(path: str | Path) -> tuple[Volume, np.ndarray]:
    """Read a label map: the volume, and its voxels as integers."""
    volume = read_nifti(path) if is_nifti(path) and Path(path).is_file() else read_volume(path)
    return volume, as_labels(volume, path)


def _read(path: str | Path, names: Mapping[int, str] | None) -> tuple[Volume, np.ndarray, set[int]]:
    volume, labels = read_labels(path)
    ids = ids_in(labels)
    if names is not None:
        check_ids(ids, names, path)
    return volume, labels, ids


def _sha256(volume: Volume) -> str:
    """Return the hash of a volume's file; of several, as DICOM has them, the hash of theirs in slice order."""
    hashes = [sha256_of(path) for path in volume.source]
    return hashes[0] if len(hashes) == 1 else hashlib.sha256("".join(hashes).encode()).hexdigest()
