"""Expected calibration error: whether a label's probabilities are the frequencies they say they are."""

from __future__ import annotations

import numpy as np

BINS = 15
CHUNK_VOXELS = 4 << 20  # what is converted to float64 at once
ROUNDING = 1e-3  # by which float16 sums of probabilities may leave [0, 1]


def calibration_error(probability: np.ndarray, reference: np.ndarray, bins: int = BINS) -> float:
    """Return the expected calibration error of a label's probability, between 0 (calibrated) and 1.

    The voxels are sorted by their probability into `bins` of equal width; the error is the difference between mean
    probability and part of reference voxels in each, averaged over the voxels.

    Parameters
    ----------
    probability
        The label's probability in each voxel, any float type and shape; sums are taken in float64.
    reference
        Boolean array of the same shape.
    bins
        How many; each holds its upper edge, the first holds 0 too.

    Raises
    ------
    ValueError
        The shapes differ, are empty, or a probability is not in [0, 1] (logits, say).

    Notes
    -----
    Source: Guo et al. 2017, arXiv:1706.04599, section 2. All voxels given are counted, as in MONAI's
    `CalibrationErrorMetric`. Most voxels of a volume are background that no model doubts, so the error of the same
    model falls with the field of view: compare it on the same images alone, and give it a box around the structure
    where the errors should stand out.
    """
    if probability.shape != reference.shape or not probability.size:
        raise ValueError(f"probability has shape {probability.shape}, reference {reference.shape}")
    expected, observed = np.zeros(bins), np.zeros(bins)
    for chunk, is_label in _chunks(probability, reference):
        p = chunk.astype(np.float64)
        if not (p.min() >= -ROUNDING and p.max() <= 1 + ROUNDING):  # false for NaN too
            raise ValueError(f"probabilities between {p.min():g} and {p.max():g}; they must lie in [0, 1]")
        where = np.clip(np.ceil(p * bins) - 1, 0, bins - 1).astype(np.intp)
        expected += np.bincount(where, weights=p, minlength=bins)
        observed += np.bincount(where[is_label], minlength=bins)
    return float(np.abs(expected - observed).sum() / probability.size)


def _chunks(probability, reference):
    axis = int(np.argmax(np.abs(probability.strides)))  # along this, a slab lies together in memory
    slabs = max(1, min(probability.shape[axis], probability.size // CHUNK_VOXELS))
    for part in zip(np.array_split(probability, slabs, axis), np.array_split(reference, slabs, axis), strict=True):
        yield part[0].ravel(), part[1].ravel()
