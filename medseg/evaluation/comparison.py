"""One case: its label maps read, checked, brought to one grid and compared, by the settings of an evaluation."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from medseg.cases import (
    Case,
    as_labels,
    check_ids,
    check_same_grid,
    ids_in,
    on_same_grid,
    reaches_outside,
    region_mask,
    to_grid,
)
from medseg.evaluation.calibration import calibration_of, check_probabilities
from medseg.evaluation.settings import Settings, check_tolerances
from medseg.files import sha256_of
from medseg.metrics import compare
from medseg.read import Volume, is_nifti, read_nifti, read_volume

VOLUMES = ("volume_ml", "reference_volume_ml", "volume_error_ml")
PREDICTIONS = ("prediction", "second")  # keys of a case: the label map that is judged, and a second model's


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
    known = None if names is None else {i for union in settings.regions.values() for i in union} or set(names)
    ignored = set() if settings.ignore_label is None else {settings.ignore_label}
    reference, wanted, wanted_ids = _read(case["label"], None if known is None else known | ignored)
    wanted_ids = settings.labels_of(wanted_ids)
    compared = []
    for key in PREDICTIONS:
        if key not in case:
            continue
        prediction, found, ids = _read(case[key], known)
        ids = settings.labels_of(ids)
        labels = sorted(names or ids | wanted_ids)
        check_tolerances(settings, labels)
        moved = not on_same_grid(prediction, reference)
        there = on_grid_of(reference, prediction, found, case["id"], resample=settings.resample)
        if "ece" in settings.metrics:
            check_probabilities(case[key])
        if only_check:
            continue
        values = _compare(there, wanted, reference.spacing_mm, labels, settings)
        hashes = {key: _sha256(prediction), "reference": _sha256(reference)}
        if "ece" in settings.metrics:
            hashes[f"{key}_probabilities"] = sha256_of(check_probabilities(case[key]))
            unions = {i: settings.regions.get(i, (i,)) for i in labels}
            values = _with_ece(values, calibration_of(case[key], wanted, reference.affine, unions), settings)
        compared.append(
            Compared(
                values=values,
                ids=ids,
                reference_ids=wanted_ids,
                resampled=moved,
                outside=moved and reaches_outside(wanted.shape, reference.affine, found.shape, prediction.affine),
                sha256=hashes,
            )
        )
    return compared


def _with_ece(
    values: Mapping[int, Mapping[str, float]], errors: Mapping[int, float], settings: Settings
) -> dict[int, dict[str, float]]:
    """Return each label's values with its calibration error, in the order of the settings."""
    return {
        i: {m: ({"ece": errors[i]} | dict(by_metric))[m] for m in settings.metrics}
        for i, by_metric in values.items()
    }


def _compare(
    prediction: np.ndarray,
    reference: np.ndarray,
    spacing_mm: Sequence[float],
    labels: Sequence[int],
    settings: Settings,
) -> dict[int, dict[str, float]]:
    """Compare two volumes; of a single slice its outlines, since as a volume it would be surface all over.

    What the reference says to ignore is background in both.
    """
    if settings.ignore_label is not None:
        counted = reference != settings.ignore_label
        prediction, reference = prediction * counted, reference * counted
    axes = [axis for axis, size in enumerate(reference.shape) if size > 1]
    if len(axes) != 2:
        axes = [0, 1, 2]
    thickness_mm = math.prod(spacing_mm) / math.prod(spacing_mm[axis] for axis in axes)
    flat = tuple({0, 1, 2} - set(axes))
    values = compare_regions(
        prediction.squeeze(axis=flat),
        reference.squeeze(axis=flat),
        {i: settings.regions[i] for i in labels} if settings.regions else {},
        spacing_mm=[spacing_mm[axis] for axis in axes],
        labels=labels,
        metrics=[name for name in settings.metrics if name != "ece"],
        hd95=settings.hd95,
        tolerance_mm=settings.tolerance_mm,
    )
    if len(axes) == 2:
        for by_metric in values.values():
            by_metric.update({name: by_metric[name] * thickness_mm for name in VOLUMES})
    return values


def compare_regions(
    prediction: np.ndarray, reference: np.ndarray, regions: Mapping[int, Sequence[int]], **settings: Any
) -> dict[int, dict[str, float]]:
    """Return `medseg.metrics.compare` of two label maps; of `regions`, of the union of each one's ids.

    Parameters
    ----------
    regions
        The ids of each, by the label that its values are given under; empty for none.
    settings
        Arguments of `medseg.metrics.compare`.
    """
    if not regions:
        return compare(prediction, reference, **settings)
    tolerance_mm, found = settings.get("tolerance_mm", 1.0), {}
    for label, ids in regions.items():
        masks = (region_mask(labels, ids).view(np.uint8) for labels in (prediction, reference))
        of_label = tolerance_mm[label] if isinstance(tolerance_mm, Mapping) else tolerance_mm
        found[label] = compare(*masks, **{**settings, "labels": [1], "tolerance_mm": of_label})[1]
    return found


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


def _read(path: str | Path, known: Collection[int] | None) -> tuple[Volume, np.ndarray, set[int]]:
    volume, labels = read_labels(path)
    ids = ids_in(labels)
    if known is not None:
        check_ids(ids, known, path)
    return volume, labels, ids


def _sha256(volume: Volume) -> str:
    """Return the hash of a volume's file; of several, as DICOM has them, the hash of theirs in slice order."""
    hashes = [sha256_of(path) for path in volume.source]
    return hashes[0] if len(hashes) == 1 else hashlib.sha256("".join(hashes).encode()).hexdigest()
