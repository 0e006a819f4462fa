"""Distances between the surfaces of two masks, in mm."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.ndimage import binary_erosion
from scipy.spatial import cKDTree


class Distances(NamedTuple):
    """Distances in mm, and what each weighs (None: all the same)."""

    ours: np.ndarray
    theirs: np.ndarray
    our_weights: np.ndarray | None = None
    their_weights: np.ndarray | None = None


def surface_distances(
    prediction: np.ndarray, reference: np.ndarray, spacing_mm: Sequence[float], definition: str = "directed-max"
) -> Distances:
    """Return the distances of two masks that are not empty."""
    ours, theirs = (np.argwhere(m & ~binary_erosion(m)) * np.asarray(spacing_mm) for m in (prediction, reference))
    return Distances(cKDTree(theirs).query(ours)[0], cKDTree(ours).query(theirs)[0])
