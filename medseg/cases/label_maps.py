"""Label maps: which ids they hold, whether they lie on one grid, and bringing one to the grid of another."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from medseg.errors import InputError
from medseg.geometry import (
    GRID_TOLERANCE_MM,
    axis_codes,
    corners,
    corners_apart_mm,
    parallel_axes,
    to_world,
)
from medseg.read import Volume

ALIGNED_VOXELS = 1e-2  # two grids whose axes stray less from each other, end to end, are parallel
CHUNK_VOXELS = 1 << 20
TABLE_IDS = 1 << 16  # ids so near to each other are counted in a table


def as_labels(volume: Volume, path: object) -> np.ndarray:
    """Return a label map's voxels as integers.

    Raises
    ------
    InputError
        `LABEL_NOT_INTEGER` for fractions, which interpolation leaves.
    """
    array = volume.array
    if array.dtype.kind != "f":
        return array
    whole = array.astype(np.int32)
    if not (whole == array).all():
        raise InputError(
            "LABEL_NOT_INTEGER",
            f"{path} holds fractions such as {array[whole != array][0]:.6g}; a label map has whole ids: it was "
            "interpolated, export it again by nearest neighbour",
        )
    return whole


def ids_in(labels: np.ndarray) -> set[int]:
    """Return the ids in an integer array, 0 left out."""
    if not labels.size:
        return set()
    voxels = labels.ravel(order="K")
    low, high = int(voxels.min()), int(voxels.max())
    if high - low >= TABLE_IDS:
        return {int(i) for i in np.unique(voxels)} - {0}
    found = np.zeros(high - low + 1, bool)
    for start in range(0, voxels.size, CHUNK_VOXELS):
        chunk = voxels[start : start + CHUNK_VOXELS]
        found |= np.bincount(chunk if low == 0 else chunk.astype(np.int64) - low, minlength=found.size) > 0
    return {int(i) + low for i in np.flatnonzero(found)} - {0}


def check_ids(ids: Collection[int], known: Collection[int], path: object) -> None:
    """Refuse ids that the bundle does not know.

    Raises
    ------
    InputError
        `LABEL_UNKNOWN_ID`, naming all of them.
    """
    unknown = sorted(set(ids) - {0, *known})
    if unknown:
        raise InputError(
            "LABEL_UNKNOWN_ID",
            f"{path} holds label {', '.join(map(str, unknown))}; the bundle knows {sorted(known)}: correct the "
            "file, or add the label to channel_def in the bundle's metadata.json",
        )


def check_same_grid(
    name: str,
    first: Volume,
    second: Volume,
    *,
    what: Sequence[str] = ("image", "label"),
    remedy: str = "resample the label onto the image by nearest neighbour",
) -> None:
    """Refuse two volumes whose voxels do not lie at the same places.

    Raises
    ------
    InputError
        `GEOMETRY_LABEL_GRID`, saying what differs.
    """
    apart_mm = _apart_mm(first, second)
    same_shape = first.array.shape == second.array.shape
    if same_shape and apart_mm <= GRID_TOLERANCE_MM:
        return
    found = [] if same_shape else [f"shapes {first.array.shape} and {second.array.shape}"]
    found.append(f"corners up to {apart_mm:.3g} mm apart")
    codes = [axis_codes(volume.affine) for volume in (first, second)]
    if codes[0] != codes[1]:
        found.append(f"axes {codes[0]} and {codes[1]}")
    raise InputError(
        "GEOMETRY_LABEL_GRID",
        f"{name}: {what[0]} and {what[1]} lie on different grids ({', '.join(found)}); {remedy}",
    )


def on_same_grid(first: Volume, second: Volume) -> bool:
    """Say whether the voxels of two volumes lie at the same places."""
    return first.array.shape == second.array.shape and _apart_mm(first, second) <= GRID_TOLERANCE_MM


def _apart_mm(first: Volume, second: Volume) -> float:
    return corners_apart_mm(first.affine, first.array.shape, second.affine, second.array.shape)


def to_grid(labels: np.ndarray, affine: np.ndarray, shape: Sequence[int], onto: np.ndarray) -> np.ndarray:
    """Bring a label map to another grid: each new voxel takes the label of the old voxel nearest in the patient.

    Between grids with parallel axes (turned, flipped, shifted, of other spacings) this picks voxels by index and
    nothing is rounded; others go by `scipy.ndimage.affine_transform`.

    Parameters
    ----------
    labels, affine
        The label map (I, J, K), and its voxel index to mm.
    shape, onto
        The other grid's size, and its voxel index to mm.

    Returns
    -------
    np.ndarray
        Of the given shape and the type of `labels`; 0 where the old grid does not reach.
    """
    step = np.linalg.inv(affine) @ onto  # new index to old
    along = parallel_axes(step, shape, ALIGNED_VOXELS)
    if along is None:
        from scipy.ndimage import affine_transform

        return affine_transform(labels, step, output_shape=tuple(shape), order=0, mode="grid-constant", cval=0)
    axes = np.argsort(along)  # of each old axis, the new one along it
    picks, inside = [], []
    for old, new in enumerate(axes):
        place = np.round(step[old, new] * np.arange(shape[new]) + step[old, 3], 6)  # noise decides no tie
        index = np.floor(place + 0.5).astype(np.intp)
        kept = (index >= 0) & (index < labels.shape[old])
        picks.append(index[kept])
        inside.append(np.flatnonzero(kept))
    result = np.zeros(tuple(shape), labels.dtype, order="F")
    target = result.transpose(axes)
    target[np.ix_(*inside)] = labels[np.ix_(*picks)]
    return result


def reaches_outside(shape: Sequence[int], onto: np.ndarray, old_shape: Sequence[int], affine: np.ndarray) -> bool:
    """Say whether a voxel of the grid `onto` has its centre outside the voxels of the grid `affine`."""
    places = to_world(np.linalg.inv(affine) @ onto, corners(shape))
    return bool(
        (places < -0.5 - ALIGNED_VOXELS).any() or (places > np.array(old_shape) - 0.5 + ALIGNED_VOXELS).any()
    )
