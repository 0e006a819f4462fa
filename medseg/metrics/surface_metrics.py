"""Metrics of the distances between two surfaces: Hausdorff, percentile, averages and surface Dice."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from medseg.metrics.surfaces import Directed

ROUNDING = 1e-6  # NIfTI stores spacings as float32: three voxels of 0.3 mm must lie within 0.9 mm


def distance_metrics(
    ours: Directed, theirs: Directed, hd95: str, tolerances_mm: Mapping[str, float]
) -> dict[str, float]:
    """Return ``hd_mm``, ``hd95_mm``, ``assd_mm``, ``masd_mm`` and the NSD by the names of its tolerances.

    Parameters
    ----------
    ours, theirs
        Distances of the prediction's surface to the reference's and back, neither empty.
    hd95
        One of `medseg.metrics.table.HD95_DEFINITIONS`; with ``area-weighted`` both have areas.
    tolerances_mm
        By name: the largest distance that counts as agreement.
    """
    our_weight, their_weight = _weight(ours, len(ours.mm)), _weight(theirs, len(theirs.mm))
    our_sum, their_sum = _sum(ours), _sum(theirs)
    both = our_weight + their_weight
    values = {
        "hd_mm": max(ours.mm[-1], theirs.mm[-1]),
        "hd95_mm": _hd95_mm(ours, theirs, hd95),
        "assd_mm": (our_sum + their_sum) / both,
        "masd_mm": (our_sum / our_weight + their_sum / their_weight) / 2,
    }
    for name, tolerance_mm in tolerances_mm.items():
        at_most = tolerance_mm * (1 + ROUNDING)
        within = [_weight(one, int(np.searchsorted(one.mm, at_most, side="right"))) for one in (ours, theirs)]
        values[name] = sum(within) / both
    return values


def _hd95_mm(ours: Directed, theirs: Directed, definition: str) -> float:
    if definition == "pooled":
        return _percentile(np.sort(np.concatenate([ours.mm, theirs.mm])), 0.95)
    if definition == "directed-max":
        return max(_percentile(ours.mm, 0.95), _percentile(theirs.mm, 0.95))
    return max(_percentile_by_area(ours, 0.95), _percentile_by_area(theirs, 0.95))


def _percentile(ascending: np.ndarray, part: float) -> float:
    """Return what `numpy.percentile` does by default, linear between the nearest ranks, but 30 times sooner."""
    rank = part * (ascending.size - 1)
    below = int(rank)
    low, high = ascending[below], ascending[min(below + 1, ascending.size - 1)]
    return float(low + (high - low) * (rank - below))


def _percentile_by_area(one: Directed, part: float) -> float:
    """Return the least distance that `part` of the area does not exceed."""
    assert one.areas is not None
    place = int(np.searchsorted(np.cumsum(one.areas) / one.areas.sum(), part))
    return float(one.mm[min(place, one.mm.size - 1)])


def _weight(one: Directed, n: int) -> float:
    """Return the weight of the first `n` pieces."""
    return n if one.areas is None else float(one.areas[:n].sum())


def _sum(one: Directed) -> float:
    return float(one.mm.sum() if one.areas is None else (one.mm * one.areas).sum())
