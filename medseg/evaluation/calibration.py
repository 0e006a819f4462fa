"""The calibration error of a case, from the probabilities that ``medseg predict --save-probabilities`` leaves."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from medseg.cases import case_id, region_mask, to_grid
from medseg.errors import InputError
from medseg.geometry import corners, shifted, to_world
from medseg.metrics import calibration_error

DOMAIN = (
    "over the voxels of the network's grid in the box around all that are at least 1/255 probable or in the "
    "reference, which goes there by nearest neighbour"
)


def check_probabilities(prediction: str | Path) -> Path:
    """Return the path of the probabilities that lie beside a predicted label map.

    Raises
    ------
    InputError
        `PROBABILITIES_MISSING`.
    """
    path = Path(prediction).parent / f"{case_id(prediction)}.probabilities.npz"
    if not path.is_file():
        raise InputError(
            "PROBABILITIES_MISSING",
            f"{path} does not exist, and the metric ece needs it; predict with --save-probabilities",
        )
    return path


def calibration_of(
    prediction: str | Path,
    reference: np.ndarray,
    affine: np.ndarray,
    labels: Sequence[int] | Mapping[int, Sequence[int]],
) -> dict[int, float]:
    """Return the expected calibration error of each label; NaN where it is neither probable nor in the reference.

    Parameters
    ----------
    prediction
        Path of the label map, beside which the probabilities lie.
    reference, affine
        The reference's label map (I, J, K), and its voxel index to mm.
    labels
        The ids to judge; or of each label the ids that it has in the reference, of a region several.

    Raises
    ------
    InputError
        `PROBABILITIES_MISSING`, `FILE_UNREADABLE`.
    """
    path = check_probabilities(prediction)
    unions = labels if isinstance(labels, Mapping) else {i: (i,) for i in labels}
    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        crops = {i: (arrays[f"label_{i}"], arrays[f"affine_{i}"]) for i in labels if f"label_{i}" in arrays}
    except Exception as error:  # numpy and zipfile raise what the broken bytes led them to
        raise InputError("FILE_UNREADABLE", f"{path} holds no probabilities ({type(error).__name__})") from error
    anywhere = next((arrays[name] for name in sorted(arrays) if name.startswith("affine_")), affine)
    nowhere = (np.zeros((0, 0, 0), np.float16), anywhere)
    return {i: _one_label(crops.get(i, nowhere), region_mask(reference, ids), affine) for i, ids in unions.items()}


def _one_label(probable: tuple[np.ndarray, np.ndarray], reference: np.ndarray, affine: np.ndarray) -> float:
    """Return the calibration error in the box around the probable voxels and the reference."""
    crop, grid = probable
    boxes = [] if not crop.size else [(np.zeros(3, int), np.array(crop.shape))]
    if reference.any():
        low, high = _reach(reference, np.linalg.inv(grid) @ affine)
        start = shifted(grid, low)
        there = to_grid(reference, affine, high - low, start)
        if there.any():
            boxes.append(tuple(low + edge for edge in _box(there)))
    if not boxes:
        return math.nan
    low, high = np.min([box[0] for box in boxes], axis=0), np.max([box[1] for box in boxes], axis=0)
    probability = np.zeros(high - low, np.float32)
    if crop.size:
        probability[tuple(slice(-a, -a + n) for a, n in zip(low, crop.shape, strict=True))] = crop
    return calibration_error(probability, to_grid(reference, affine, high - low, shifted(grid, low)))


def _reach(mask: np.ndarray, step: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the first index, and the one after the last, on the other grid that the box of a mask reaches."""
    low, high = _box(mask)
    places = to_world(step, corners(high - low + 1) + low - 0.5)  # the outer faces
    return np.floor(places.min(axis=0)).astype(int), np.ceil(places.max(axis=0)).astype(int) + 1


def _box(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the first index of a mask's voxels along each axis, and the one after the last."""
    found = [np.flatnonzero(mask.any(axis=tuple(a for a in range(3) if a != axis))) for axis in range(3)]
    return np.array([f[0] for f in found]), np.array([f[-1] + 1 for f in found])
