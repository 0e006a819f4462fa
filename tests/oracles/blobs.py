"""Label maps of random blobs, and the metrics that depend on where their surfaces lie."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter

DISTANCES = ("hd_mm", "hd95_mm", "assd_mm", "masd_mm", "nsd")


def label_map(seed: int, shape: tuple[int, ...], part: float = 0.5, smooth: float = 1.0) -> np.ndarray:
    """Return labels 1 to 3 in blobs, touching each other and the border."""
    rng = np.random.default_rng(seed)
    noise, kind = (gaussian_filter(rng.normal(size=shape), smooth) for _ in range(2))
    return np.where(noise >= np.quantile(noise, 1 - part), 1 + np.digitize(kind, np.quantile(kind, (0.4, 0.7))), 0)
