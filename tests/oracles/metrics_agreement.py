"""1,000 random pairs of masks, and each metric by its definition's reference tool and by brute force.

The pairs: smooth blobs in voxels of three lengths, thick slices, masks that
touch the border, one voxel against a blob, scattered voxels, masks far apart, and 2D.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from itertools import product

import numpy as np
import torch
from monai.metrics import compute_average_surface_distance, compute_hausdorff_distance, compute_surface_dice
from scipy.ndimage import gaussian_filter

from medseg.metrics.comparison import compare
from medseg.metrics.table import HD95_DEFINITIONS

try:
    import surface_distance
except ImportError:
    surface_distance = None
try:
    from panoptica.metrics.assd import _average_symmetric_surface_distance as panoptica_assd
    from panoptica.metrics.hausdorff_distance import _compute_hausdorff_distance95 as panoptica_hd95
except ImportError:
    panoptica_hd95 = None

Values = dict[str, float]
NAMES = ("dice", "hd_mm", "hd95_mm", "assd_mm", "masd_mm", "nsd")
KINDS = ("blobs", "thick slices", "at the border", "one voxel", "scattered", "far apart", "2D")


def pairs(n: int) -> Iterator[tuple[str, np.ndarray, np.ndarray, tuple[float, ...], float]]:
    """Yield kind, prediction, reference, spacing and a tolerance that no distance equals."""
    for seed in range(n):
        rng = np.random.default_rng(seed)
        kind = KINDS[seed % len(KINDS)]
        shape = tuple(rng.integers(8, 40, 2 if kind == "2D" else 3))
        spacing_mm = tuple(float(mm) for mm in rng.uniform(0.4, 3, len(shape)))
        if kind == "thick slices":
            spacing_mm = (*spacing_mm[:2], float(rng.uniform(4, 9)))
        noise = gaussian_filter(rng.normal(size=shape), 2)
        change = gaussian_filter(rng.normal(size=shape), 1.5)
        part = 0.6 if kind == "at the border" else 0.1
        reference = noise > np.quantile(noise, 1 - part)
        prediction = (changed := noise + rng.uniform(0.1, 0.8) * change) > np.quantile(changed, 1 - part)
        if kind == "one voxel":
            prediction = np.zeros(shape, bool)
            prediction[tuple(rng.integers(0, shape))] = True
        elif kind == "scattered":
            prediction, reference = rng.random(shape) < 0.02, rng.random(shape) < 0.05
            prediction.flat[0] = reference.flat[-1] = True
        elif kind == "far apart":
            prediction, reference = np.zeros(shape, bool), np.zeros(shape, bool)
            prediction[:3, :2], reference[-2:, -3:] = True, True
        yield kind, prediction, reference, spacing_mm, float(rng.uniform(0.3, 4))


def brute_force(
    prediction: np.ndarray, reference: np.ndarray, spacing_mm: tuple[float, ...], mm: float
) -> dict[str, Values]:
    """Return the metrics over all pairs of boundary voxels, ``directed-max`` and ``pooled``."""
    ours, theirs = (_boundary(mask) * np.array(spacing_mm) for mask in (prediction, reference))
    apart = np.linalg.norm(ours[:, None] - theirs[None], axis=-1)
    there, back = apart.min(1), apart.min(0)
    both = np.concatenate([there, back])
    overlap = sum(p and r for p, r in zip(prediction.ravel().tolist(), reference.ravel().tolist(), strict=True))
    values = {
        "dice": 2 * overlap / (int(prediction.sum()) + int(reference.sum())),
        "hd_mm": both.max(),
        "assd_mm": both.mean(),
        "masd_mm": (there.mean() + back.mean()) / 2,
        "nsd": (both <= mm).mean(),
    }
    directed_max = max(np.percentile(there, 95), np.percentile(back, 95))
    return {
        "directed-max": {**values, "hd95_mm": directed_max},
        "pooled": {**values, "hd95_mm": np.percentile(both, 95)},
    }


def _boundary(mask: np.ndarray) -> np.ndarray:
    padded = np.pad(mask, 1)
    inner = np.ones_like(mask)
    for axis, move in product(range(mask.ndim), (-1, 1)):
        inner &= np.roll(padded, move, axis)[(slice(1, -1),) * mask.ndim]
    return np.argwhere(mask & ~inner)


def by_monai(
    prediction: np.ndarray, reference: np.ndarray, spacing_mm: tuple[float, ...], mm: float
) -> dict[str, Values]:
    masks = [torch.from_numpy(mask)[None, None] for mask in (prediction, reference)]
    same = {"include_background": True, "spacing": list(spacing_mm)}
    mean = compute_average_surface_distance(*masks, symmetric=True, **same)
    values = {
        "hd_mm": compute_hausdorff_distance(*masks, **same),
        "hd95_mm": compute_hausdorff_distance(*masks, percentile=95, **same),
        "assd_mm": mean,
        "nsd": compute_surface_dice(*masks, class_thresholds=[mm], **same),
    }
    return {"directed-max": {name: value.item() for name, value in values.items()}}


def by_surface_distance(
    prediction: np.ndarray, reference: np.ndarray, spacing_mm: tuple[float, ...], mm: float
) -> dict[str, Values]:
    surfaces = surface_distance.compute_surface_distances(reference, prediction, spacing_mm)
    means = surface_distance.compute_average_surface_distance(surfaces)
    areas = surfaces["surfel_areas_gt"].sum(), surfaces["surfel_areas_pred"].sum()
    values = {
        "hd_mm": surface_distance.compute_robust_hausdorff(surfaces, 100),
        "hd95_mm": surface_distance.compute_robust_hausdorff(surfaces, 95),
        "assd_mm": float(np.average(means, weights=areas)),
        "masd_mm": float(np.mean(means)),
        "nsd": surface_distance.compute_surface_dice_at_tolerance(surfaces, mm),
    }
    return {"area-weighted": values}


def by_panoptica(
    prediction: np.ndarray, reference: np.ndarray, spacing_mm: tuple[float, ...], _mm: float
) -> dict[str, Values]:
    values = {
        "hd95_mm": panoptica_hd95(reference, prediction, spacing_mm),
        "masd_mm": panoptica_assd(reference, prediction, spacing_mm),
    }
    return {"pooled": values}


def tools() -> dict[str, object]:
    """Return brute force and the peers that are installed."""
    found = {"brute force": brute_force, "MONAI": by_monai}
    if surface_distance:
        found["surface-distance"] = by_surface_distance
    if panoptica_hd95:
        found["panoptica"] = by_panoptica
    return found


def largest_differences(n: int) -> tuple[dict[tuple[str, str, str], float], dict[str, int]]:
    """Return by tool, definition and metric the largest absolute difference, and how many pairs of each kind."""
    warnings.simplefilter("ignore")  # of peers about their own calls
    worst: dict[tuple[str, str, str], float] = {}
    kinds = dict.fromkeys(KINDS, 0)
    for kind, prediction, reference, spacing_mm, mm in pairs(n):
        kinds[kind] += 1
        ours = {
            definition: compare(
                prediction,
                reference,
                spacing_mm=spacing_mm,
                labels=[1],
                metrics=NAMES,
                hd95=definition,
                tolerance_mm=mm,
            )[1]
            for definition in HD95_DEFINITIONS
        }
        for tool, measure in tools().items():
            for definition, values in measure(prediction, reference, spacing_mm, mm).items():
                for name, value in values.items():
                    difference = abs(value - ours[definition][name])
                    key = tool, definition, name
                    worst[key] = float(np.maximum(worst.get(key, 0.0), difference))  # NaN stays NaN
    return worst, kinds
