"""The pixels of ordered slices to one array, in the units of their modality."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom import uid
from pydicom.pixels import iter_pixels

from medseg.errors import InputError
from medseg.read import jpeg_plugin
from medseg.read.dicom_slice import Pixels, Slice
from medseg.read.volume import check_fits

jpeg_plugin.register()
THREADS = min(8, os.cpu_count() or 1)
DECODERS = {  # one for each, so that the same bytes give the same pixels on every machine
    **dict.fromkeys(jpeg_plugin.SYNTAXES, jpeg_plugin.NAME),
    **dict.fromkeys((uid.JPEG2000Lossless, uid.JPEG2000), "pylibjpeg"),
    **dict.fromkeys((uid.HTJ2KLossless, uid.HTJ2KLosslessRPCL, uid.HTJ2K), "pylibjpeg"),
    uid.RLELossless: "pydicom",  # pylibjpeg's panics on damaged data, past any `except Exception`
}


def read_pixels(slices: Sequence[Slice]) -> np.ndarray:
    """Return the voxels (column, row, slice) of slices of one size.

    Integers stay integers where every slope is 1 and every intercept whole; else values are float32.

    Raises
    ------
    InputError
        `DICOM_PIXELS_UNREADABLE`, `FILE_TRUNCATED`, `FILE_TOO_LARGE`.
    """
    try:
        return _read(slices)
    except MemoryError:
        raise InputError(
            "FILE_TOO_LARGE", f"{slices[0].path}: its pixels need more memory than there is"
        ) from None


def _read(slices: Sequence[Slice]) -> np.ndarray:
    dtypes = {_stored_dtype(s.pixels) for s in slices}
    dtype = np.result_type(*dtypes)
    if dtype.kind == "f":  # uint64 beside int64
        raise InputError("DICOM_PIXELS_UNREADABLE", f"{slices[0].path}: slices differ in how they store pixels")
    shape = (len(slices), *slices[0].size)
    check_fits(int(np.prod(shape, dtype=object)) * max(4, dtype.itemsize), slices[0].path)
    stored = np.empty(shape, dtype)
    places: dict[Path, list[int]] = {}
    for k, s in enumerate(slices):
        places.setdefault(s.path, []).append(k)
    with ThreadPoolExecutor(THREADS) as pool:  # reading and most decoders let other threads run
        list(pool.map(lambda ks: _fill(stored, slices, ks), places.values()))
    for k, s in enumerate(slices):
        _use_stored_bits(stored[k], s.pixels)
    return _rescaled(stored, slices).transpose(2, 1, 0)


def identical(a: Slice, b: Slice) -> bool:
    """Say whether two slices have the same pixels, to the last bit; False where it cannot be said."""
    if a.size != b.size or a.pixels.signed != b.pixels.signed:
        return False
    try:
        return bool(np.array_equal(read_pixels([a]), read_pixels([b])))
    except InputError:
        return False


def _stored_dtype(pixels: Pixels) -> np.dtype:
    bits = next(n for n in (8, 16, 32, 64) if n >= pixels.bits_allocated)
    return np.dtype(f"{'i' if pixels.signed else 'u'}{bits // 8}")


def _fill(stored: np.ndarray, slices: Sequence[Slice], ks: Sequence[int]) -> None:
    """Read the slices `ks`, all of one file."""
    path, pixels = slices[ks[0]].path, slices[ks[0]].pixels
    try:
        if pixels.plain:
            dtype = _stored_dtype(pixels).newbyteorder("<")
            size = stored[0].size
            with path.open("rb", buffering=0) as stream:
                for k in ks:
                    stream.seek(pixels.offset + max(slices[k].frame - 1, 0) * size * dtype.itemsize)
                    _read_into(stored[k], dtype, stream)
            return
        frames = [max(slices[k].frame - 1, 0) for k in ks]
        inflate = pixels.syntax == uid.DeflatedExplicitVRLittleEndian  # pydicom cannot seek in these
        source = pydicom.dcmread(path, force=True) if inflate else path
        decoder = DECODERS.get(uid.UID(pixels.syntax), "")
        decoded = iter_pixels(source, raw=True, indices=frames, decoding_plugin=decoder)
        for k, frame in zip(ks, decoded, strict=True):
            stored[k] = frame
    except (InputError, MemoryError):
        raise
    except Exception as error:  # each decoder raises its own
        raise InputError(
            "DICOM_PIXELS_UNREADABLE",
            f"{path}: pixel data cannot be decoded ({type(error).__name__}); export it uncompressed",
        ) from None


def _read_into(out: np.ndarray, dtype: np.dtype, stream: Any) -> None:
    direct = out.dtype == dtype
    target = out if direct else np.empty(out.shape, dtype)
    if stream.readinto(target.reshape(-1).view(np.uint8).data) != target.nbytes:
        raise InputError("FILE_TRUNCATED", f"{stream.name} ends within its pixels; copy it again")
    if not direct:
        out[...] = target


def _use_stored_bits(stored: np.ndarray, pixels: Pixels) -> None:
    """Clear what lies outside the stored bits of a slice, and carry the sign to the top (PS3.5 8.1.1).

    Old scanners kept overlays there, and some writers leave the sign out.
    """
    bits, unused_below = pixels.bits_stored, pixels.high_bit + 1 - pixels.bits_stored
    if unused_below and not pixels.compressed:
        stored >>= unused_below
    high = (1 << (bits - pixels.signed)) - 1
    low = -high - 1 if pixels.signed else 0
    if bits < _stored_dtype(pixels).itemsize * 8 and (stored.min() < low or stored.max() > high):
        wide = stored.astype(np.int64) & ((1 << bits) - 1)
        stored[...] = wide - ((wide > high).astype(np.int64) << bits)


def _rescaled(stored: np.ndarray, slices: Sequence[Slice]) -> np.ndarray:
    slopes = np.array([s.scaling[0] for s in slices])
    intercepts = np.array([s.scaling[1] for s in slices])
    if (slopes == 1).all() and (intercepts == 0).all():
        return stored
    if (slopes == 1).all() and (intercepts == intercepts[0]).all() and intercepts[0].is_integer():
        shift = int(intercepts[0])
        low, high = int(stored.min()) + shift, int(stored.max()) + shift
        for dtype in (np.dtype(np.int16), np.dtype(np.int32)):
            if np.iinfo(dtype).min <= low and high <= np.iinfo(dtype).max:
                same_size = stored.itemsize == dtype.itemsize
                out = stored.view(dtype) if same_size else stored.astype(dtype)
                return np.add(out, np.int64(shift).astype(dtype), out=out)  # may wrap twice; the sum fits
    out = np.empty(stored.shape, np.float32)
    for k, (slope, intercept) in enumerate(zip(slopes, intercepts, strict=True)):
        wide = np.float64 if stored.itemsize > 2 else np.float32  # as converters do, so that figures agree
        np.multiply(stored[k], wide(slope), out=out[k], dtype=wide, casting="unsafe")
        out[k] += np.float32(intercept)
    if not np.isfinite(out).all():
        raise InputError("IMAGE_NOT_FINITE", f"{slices[0].path}: rescaled values go beyond float32")
    return out
