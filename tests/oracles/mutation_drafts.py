"""Slices before they are written, and what the mutations of `mutation_kinds` do with them.

A draft's `volume` says which slices belong together: ``a`` is the series itself, ``twin`` a slice that claims
the place of another, anything else a volume of its own.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass
class Draft:
    """One slice before it is written: header by keyword, stored pixels (rows, columns), file name, volume."""

    header: dict[str, Any]
    stored: np.ndarray
    name: str
    volume: str = "a"

    def numbers(self, keyword: str) -> np.ndarray:
        """Return a decimal field; zeros where another mutation has made it unreadable."""
        count = COUNTS[keyword]
        try:
            found = np.array([float(part) for part in self.header[keyword]])
        except (KeyError, ValueError):
            return np.zeros(count)
        return found if len(found) == count and np.isfinite(found).all() else np.zeros(count)

    def put(self, keyword: str, numbers: np.ndarray) -> None:
        """Set a decimal field, unless another mutation has made it unreadable."""
        if self.numbers(keyword).any():
            self.header[keyword] = [text(number) for number in numbers]


COUNTS = {"ImageOrientationPatient": 6, "ImagePositionPatient": 3, "PixelSpacing": 2}
Drafts = list[Draft]
Rng = np.random.Generator


def text(number: float) -> str:
    """Return a number as DICOM's decimal string, 16 characters at most."""
    return f"{number:.9g}" if abs(number) > 1e-9 else "0"


def own(drafts: Drafts) -> Drafts:
    """Return the slices of the series itself, or all where none are left."""
    return [draft for draft in drafts if draft.volume == "a"] or drafts


def some(rng: Rng, drafts: Drafts) -> Draft:
    chosen = own(drafts)
    return chosen[rng.integers(len(chosen))]


def one_or_all(rng: Rng, drafts: Drafts) -> Drafts:
    return own(drafts) if rng.integers(2) else [some(rng, drafts)]


def without(drafts: Drafts, dropped: Drafts) -> Drafts:
    left = [draft for draft in drafts if not any(draft is gone for gone in dropped)]
    return left or drafts[:1]


def normal(draft: Draft) -> np.ndarray:
    cosines = draft.numbers("ImageOrientationPatient")
    return np.cross(cosines[:3], cosines[3:])


def step(drafts: Drafts) -> np.ndarray:
    """Return the vector from one slice to the next in mm."""
    slices = own(drafts)
    if len(slices) < 2:
        return normal(slices[0])
    return slices[1].numbers("ImagePositionPatient") - slices[0].numbers("ImagePositionPatient")


def copies(rng: Rng, drafts: Drafts, volume: str, **header: Any) -> Drafts:
    """Return the series again with other pixels, as another volume."""
    again = []
    for n, draft in enumerate(own(drafts)):
        twin = copy.deepcopy(draft)
        twin.header |= {"SOPInstanceUID": f"{draft.header['SOPInstanceUID']}.{rng.integers(2, 10**6)}", **header}
        twin.stored = other_pixels(rng, draft)
        twin.name, twin.volume = f"{volume}_{n:03}_{rng.integers(10**6)}", volume
        again.append(twin)
    return again


def other_pixels(rng: Rng, draft: Draft) -> np.ndarray:
    return rng.permutation(2**16)[: draft.stored.size].reshape(draft.stored.shape).astype(draft.stored.dtype)


def small_or_large(rng: Rng, low: float, high: float) -> float:
    """Return a size, as likely near `low` as near `high`."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))
