"""Holds what a reader made of a mutated folder against the truth about it.

A reading is wrong where a slice of it is not, in whole, the slice that the headers put at that place, or where
slices of different volumes stand in one array. It has lost something where a file is in no volume and nothing
said why.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.spatial import cKDTree

from oracles.dicom_mutations import Case, Instance

TOLERANCE_MM = 0.02
ROUNDED_TOLERANCE_MM = 0.11  # where the reader says GEOMETRY_ROUNDED_POSITIONS
SCOUT_RAD = np.radians(25)  # a reader that says DICOM_SCOUT may have left out what is turned further than this
CANDIDATES = 12  # images that may lie at one place
VERDICTS = ("right", "refused", "warned", "wrong", "lost", "hung")


@dataclass(frozen=True)
class Reading:
    """What a reader gave: arrays (I, J, K) with 4×4 RAS affines and codes, and what it said about the rest.

    `explained` holds the files that it named as refused or left out. `warned` says that it gave a warning.
    """

    volumes: Sequence[tuple[np.ndarray, np.ndarray, tuple[str, ...]]]
    explained: frozenset[Path] = frozenset()
    warned: bool = False


def judge(case: Case, reading: Reading | None) -> tuple[str, str]:
    """Return a verdict and its reason.

    Parameters
    ----------
    case
        The truth.
    reading
        What was read; None where the reader refused.

    Returns
    -------
    verdict
        ``right``; ``refused``; ``wrong``, a misplaced or mixed slice; ``lost``, a file that is nowhere and of
        which nothing was said; ``warned``, either of them with a warning.
    reason
        In words, for the search.
    """
    if reading is None:
        return "refused", ""
    shown: set[int] = set()
    for n, (array, affine, codes) in enumerate(reading.volumes):
        origins = slice_origins(case.instances, array, affine, codes)
        nowhere = [k for k, found in enumerate(origins) if not found]
        if nowhere:
            return _softened("wrong", reading), f"volume {n}: slices {nowhere} lie elsewhere or hold other values"
        volumes = [{case.instances[i].volume for i in found} for found in origins]
        if not set.intersection(*volumes):
            return _softened("wrong", reading), f"volume {n} mixes {sorted(set.union(*volumes))}"
        shown |= set.union(*origins)
    codes = {code for _, _, codes in reading.volumes for code in codes}
    for i, instance in enumerate(case.instances):
        if i in shown or instance.path in reading.explained or _is_copy(instance, case.instances, shown):
            continue
        if instance.volume == "scout" or ("DICOM_SCOUT" in codes and _is_across(instance, case.instances, shown)):
            continue
        return _softened("lost", reading), f"{instance.path.name} of {instance.volume} is in no volume"
    return "right", ""


def _softened(verdict: str, reading: Reading) -> str:
    return "warned" if reading.warned else verdict


def slice_origins(
    instances: Sequence[Instance], array: np.ndarray, affine: np.ndarray, codes: Sequence[str] = ()
) -> list[set[int]]:
    """Return for each slice (last axis) the instances that it equals in place and value, pixel by pixel."""
    tolerance_mm = ROUNDED_TOLERANCE_MM if "GEOMETRY_ROUNDED_POSITIONS" in codes else TOLERANCE_MM
    placed = [(i, instance) for i, instance in enumerate(instances) if instance.places is not None]
    index = np.indices(array.shape).reshape(3, -1)
    with np.errstate(all="ignore"):
        world = affine[:3, :3] @ index + affine[:3, 3:]
    if not placed or not np.isfinite(world).all():
        return [set() for _ in range(array.shape[2])]
    places = np.concatenate([instance.places.reshape(-1, 3) for _, instance in placed])  # type: ignore[union-attr]
    owner = np.concatenate([np.full(instance.values[0].size, i) for i, instance in placed])
    values = [np.concatenate([instance.values[v].ravel() for _, instance in placed]) for v in range(3)]
    _, near = cKDTree(places).query(world.T, k=CANDIDATES, distance_upper_bound=tolerance_mm)
    found = near < len(places)
    near = np.where(found, near, 0)
    ours = np.asarray(array, np.float64).reshape(-1, 1)
    slack = 1e-3 + 1e-5 * np.abs(ours)  # of float32
    same = found & np.any([np.abs(some[near] - ours) <= slack for some in values], axis=0)
    counts = np.zeros((array.shape[2], len(instances)), int)
    np.add.at(counts, (np.broadcast_to(index[2][:, None], near.shape)[same], owner[near][same]), 1)
    whole = array.shape[0] * array.shape[1]
    sizes = np.array([instance.values[0].size for instance in instances])
    return [{int(i) for i in np.flatnonzero((row >= whole) & (sizes == whole))} for row in counts]


def _is_copy(instance: Instance, instances: Sequence[Instance], shown: set[int]) -> bool:
    if instance.places is None:
        return False
    return any(
        np.array_equal(instance.values[0], instances[i].values[0])
        and np.array_equal(instance.places, instances[i].places)  # type: ignore[arg-type]
        for i in shown
    )


def _is_across(instance: Instance, instances: Sequence[Instance], shown: set[int]) -> bool:
    """Say whether an image is turned against all that are shown, as a scout is."""
    return instance.places is not None and all(
        abs(_normal(instance) @ _normal(instances[i])) < np.cos(SCOUT_RAD) for i in shown
    )


def _normal(instance: Instance) -> np.ndarray:
    places = instance.places
    assert places is not None
    across = np.cross(places[0, 1] - places[0, 0], places[1, 0] - places[0, 0])
    return across / np.linalg.norm(across)


def read_by_medseg(folder: Path) -> Reading | None:
    """Read by `medseg.read_study`; what it refuses or skips it names in `medseg.read.scan` and its log."""
    from medseg.errors.exceptions import InputError
    from medseg.read.study import read_study, scan

    said: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger("medseg")
    logger.addHandler(handler)
    propagate, logger.propagate = logger.propagate, False
    try:
        volumes = read_study(folder)
    except InputError:
        return None
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagate
    explained = {path for finding in scan(folder) if finding.verdict != "ok" for path in finding.source}
    explained |= {path for path in folder.rglob("*") if any(f"{path} " in f"{line} " for line in said)}
    return Reading([(v.array, v.affine, v.codes) for v in volumes], frozenset(explained))


def monai_reader(name: str) -> Callable[[Path], Reading | None]:
    """Return ``LoadImage(reader=name)`` on a folder; whatever it raises counts as a refusal."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from monai.transforms import LoadImage

        load = LoadImage(reader=name, image_only=False)

    def read(folder: Path) -> Reading | None:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                image, meta = load(str(folder))
            except Exception:
                return None
        array = np.asarray(image)
        array = array[..., None] if array.ndim == 2 else array  # one slice comes without its third axis
        if array.ndim != 3:
            return None
        said = any(issubclass(w.category, UserWarning) and "pydicom" not in w.filename for w in caught)
        return Reading([(array, np.asarray(meta["affine"]), ())], warned=said)

    return read
