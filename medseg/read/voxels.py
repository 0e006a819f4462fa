"""Stored numbers to voxels: scaled, finite, in a type that loses nothing a model could see."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from medseg.errors import InputError

BLOCK = 2**18  # voxels worked on at a time: temporary arrays stay in the cache and memory stays bounded
SAMPLES = 4096
WHOLE = ("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64")


def result_dtype(stored: np.dtype, slope: float = 1.0, inter: float = 0.0) -> np.dtype:
    """Return the type that ``stored · slope + inter`` is given in; it follows from the header alone.

    Integers that are only shifted or negated stay integers, in the smallest type that holds every value they
    could take; what is not scaled keeps its type; all else, float64 too, becomes float32.
    """
    if stored.kind in "iu" and slope in (1.0, -1.0) and float(inter).is_integer():
        if (slope, inter) == (1.0, 0.0):
            return stored.newbyteorder("=")
        limits = np.iinfo(stored)
        low, high = sorted(int(slope) * int(end) + int(inter) for end in (limits.min, limits.max))
        for name in WHOLE:
            if np.iinfo(name).min <= low and high <= np.iinfo(name).max:
                return np.dtype(name)
    return np.dtype(np.float32)


def to_voxels(
    stored: np.ndarray, path: str | Path, slope: float = 1.0, inter: float = 0.0
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Scale stored numbers and say what is odd about them.

    Parameters
    ----------
    stored
        Contiguous, native byte order, at least one voxel. Given back itself where nothing is to be done.

    Returns
    -------
    array
        ``stored · slope + inter``, in `result_dtype`; float results are computed in float64 and rounded once.
    codes
        ``("IMAGE_CONSTANT",)`` where all voxels are the same.

    Raises
    ------
    InputError
        `IMAGE_NOT_FINITE` for NaN, infinity, and values beyond float32.
    """
    dtype = result_dtype(stored.dtype, slope, inter)
    array = (
        stored if stored.dtype == dtype and (slope, inter) == (1.0, 0.0) else _scaled(stored, dtype, slope, inter)
    )
    flat = array.reshape(-1, order="A")
    if dtype.kind == "f" and not all(np.isfinite(flat[part]).all() for part in _blocks(flat)):
        raise InputError(
            "IMAGE_NOT_FINITE",
            f"{path} holds voxels that are NaN, infinite or beyond ±3.4e38; replace them first",
        )
    return array, ("IMAGE_CONSTANT",) if is_constant(flat) else ()


def _scaled(stored: np.ndarray, dtype: np.dtype, slope: float, inter: float) -> np.ndarray:
    array = np.empty_like(stored, dtype=dtype)
    source, target = stored.reshape(-1, order="A"), array.reshape(-1, order="A")
    # Integers wrap on the way and come out right: the result fits, and they are exact modulo 2ⁿ.
    shift = np.int64(inter).astype(dtype) if dtype.kind in "iu" else np.float64(inter)
    with np.errstate(all="ignore"):  # what overflows becomes infinite and is refused
        for part in _blocks(source):
            block = source[part].astype(dtype if dtype.kind in "iu" else np.float64)
            if dtype.kind == "f":
                block *= slope
            elif slope < 0:
                np.negative(block, out=block)
            block += shift
            target[part] = block
    return array


def is_constant(flat: np.ndarray) -> bool:
    """Look at a few voxels first: an image that is not constant costs nothing."""
    first = flat[0]
    return bool((flat[:: max(1, len(flat) // SAMPLES)] == first).all()) and all(
        (flat[part] == first).all() for part in _blocks(flat)
    )


def _blocks(flat: np.ndarray) -> Iterator[slice]:
    return (slice(start, start + BLOCK) for start in range(0, len(flat), BLOCK))
