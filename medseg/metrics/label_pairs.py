"""Two label maps laid out for counting and looking up: cropped, padded, one byte a voxel where that suffices.

The rows of an axis share the padding between them, so that the neighbour of a voxel at any offset of at most
the padding is at a fixed distance in memory, and what lies beyond the array reads as 0.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

CHUNK = 1 << 17  # elements looked at together: the bytes of a chunk and its comparisons stay in the cache
LONGEST_TABLE = 1 << 20


class Pair(NamedTuple):
    """Two label maps in flat arrays; position 0 is element `margin`, and the axes are in order of memory."""

    prediction: np.ndarray
    reference: np.ndarray
    codes: dict[int, int]  # of each label: the value that stands for it
    shape: tuple[int, ...]  # padded
    steps: tuple[int, ...]  # elements to the next voxel along each axis
    margin: int
    axes: tuple[int, ...]  # which axis of the arrays given each of these is


def lay_out(
    prediction: np.ndarray, reference: np.ndarray, labels: Sequence[int], padding: Sequence[int]
) -> Pair | None:
    """Return both maps cropped to the box around their labels and padded, or None where there are none.

    Parameters
    ----------
    prediction, reference
        Arrays of one shape, any memory order; booleans, integers or whole numbers as floats.
    labels
        Ids; every other value becomes background.
    padding
        Voxels along each axis, at least 1.

    Raises
    ------
    ValueError
        A value is not a whole number.
    """
    if not labels:
        return None
    strides = np.abs(reference.strides)
    axes = tuple(sorted(range(reference.ndim), key=lambda axis: -strides[axis]))
    maps = [_narrow(m.transpose(axes), name) for m, name in ((prediction, "prediction"), (reference, "reference"))]
    codes = {int(label): int(label) for label in labels}
    if any(m.dtype != np.uint8 for m in maps) or not all(0 < code < 256 for code in codes.values()):
        codes = {label: place for place, label in enumerate(sorted(codes), start=1)}
        maps = [_encoded(m, codes) for m in maps]
    box = _box(maps)
    if box is None:
        return None
    inner = tuple(s.stop - s.start for s in box)
    shape = tuple(n + padding[axis] for n, axis in zip(inner, axes, strict=True))
    steps = tuple(math.prod(shape[axis + 1 :]) for axis in range(len(shape)))
    margin = sum(padding[axis] * step for axis, step in zip(axes, steps, strict=True))

    def padded(labels: np.ndarray) -> np.ndarray:
        flat = np.zeros(margin + math.prod(shape), labels.dtype)
        flat[margin:].reshape(shape)[tuple(slice(n) for n in inner)] = labels[box]
        return flat

    ours, theirs = maps
    return Pair(padded(ours), padded(theirs), codes, shape, steps, margin, axes)


def _narrow(labels: np.ndarray, name: str) -> np.ndarray:
    """Return labels as bytes where every one is in 0 to 255, else as they are."""
    if labels.dtype == bool:
        return labels.view(np.uint8)
    if labels.dtype == np.uint8:
        return labels
    if labels.dtype.kind not in "iuf":
        raise ValueError(f"{name} is {labels.dtype}; a label map holds integers")
    if labels.size == 0:
        return labels.astype(np.uint8)
    if labels.dtype.kind != "f" and labels.min() >= 0 and labels.max() <= 255:
        return labels.astype(np.uint8)
    if labels.dtype.kind == "f":
        small = np.empty(labels.shape, np.uint8)
        fits = True
        for part in _slabs(labels):
            with np.errstate(invalid="ignore"):
                whole = labels[part].astype(np.int64)
            if (wrong := whole != labels[part]).any():
                found = labels[part][wrong][0]
                raise ValueError(f"{name} holds {found}, which is no label: a label map holds whole numbers")
            small[part] = whole
            fits = fits and bool((small[part] == whole).all())
        return small if fits else labels
    return labels


def _encoded(labels: np.ndarray, codes: dict[int, int]) -> np.ndarray:
    """Return labels as their codes, every other value as 0."""
    ids = np.array(list(codes))  # ascending
    encoded = np.empty(labels.shape, np.uint8 if ids.size < 256 else np.uint16)
    lowest, highest = int(ids[0]), int(ids[-1])
    if highest - lowest < LONGEST_TABLE:
        table = np.zeros(highest - lowest + 3, encoded.dtype)  # an entry at either end for values beyond
        table[ids - lowest + 1] = list(codes.values())
        for part in _slabs(labels):
            encoded[part] = table[np.clip(labels[part].astype(np.int64), lowest - 1, highest + 1) - (lowest - 1)]
    else:
        for part in _slabs(labels):
            whole = labels[part].astype(np.int64)
            place = np.searchsorted(ids, whole).clip(max=ids.size - 1)
            encoded[part] = np.where(ids[place] == whole, place + 1, 0)
    return encoded


def _slabs(array: np.ndarray) -> Iterator[slice]:
    thickness = max(1, CHUNK * len(array) // max(array.size, 1))
    for start in range(0, len(array), thickness):
        yield slice(start, start + thickness)


def _box(maps: Sequence[np.ndarray]) -> tuple[slice, ...] | None:
    """Return the box around what is not 0 in any of the maps."""
    box = []
    axes = range(maps[0].ndim)
    seen = [m.max(axis=0, initial=0) for m in maps] if len(axes) > 1 else []
    for axis in axes:
        if axis == 0:
            profiles = [m.max(axis=tuple(axes[1:]), initial=0) for m in maps]
        else:
            profiles = [s.max(axis=tuple(a - 1 for a in axes if a not in (0, axis)), initial=0) for s in seen]
        (there,) = np.nonzero(np.maximum(*profiles))
        if not there.size:
            return None
        box.append(slice(int(there[0]), int(there[-1]) + 1))
    return tuple(box)


def count(pair: Pair) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return TP, FP and FN in voxels, by code."""
    size = 256 if pair.reference.dtype == np.uint8 else len(pair.codes) + 1
    wanted, fp, fn = np.zeros((3, size), np.int64)
    for start in range(pair.margin, pair.reference.size, CHUNK):
        prediction, reference = (m[start : start + CHUNK] for m in (pair.prediction, pair.reference))
        ends = np.append(np.flatnonzero(reference[1:] != reference[:-1]), reference.size - 1)
        runs = np.diff(ends, prepend=-1)  # of equal values: there are far fewer of them than voxels
        wanted += np.bincount(reference[ends], weights=runs, minlength=size).astype(np.int64)
        differ = np.flatnonzero(prediction != reference)
        if differ.size:
            fp += np.bincount(prediction[differ], minlength=size)
            fn += np.bincount(reference[differ], minlength=size)
    return wanted - fn, fp, fn


def cropped_masks(pair: Pair) -> dict[int, tuple[np.ndarray, np.ndarray]]:
    """Return each code's two masks (bool, axes as they were given), cropped to the box around both."""
    from scipy.ndimage import find_objects

    maps = [m[pair.margin :].reshape(pair.shape) for m in (pair.prediction, pair.reference)]
    boxes = [dict(enumerate(find_objects(m), start=1)) for m in maps]
    back = tuple(pair.axes.index(axis) for axis in range(len(pair.axes)))
    masks = {}
    for code in pair.codes.values():
        there = [found for by_code in boxes if (found := by_code.get(code))]
        if there:
            box = tuple(
                slice(min(s.start for s in both), max(s.stop for s in both)) for both in zip(*there, strict=True)
            )
            ours, theirs = ((m[box] == code).transpose(back) for m in maps)
            masks[code] = (ours, theirs)
    return masks
