"""clDice: how well the centrelines of two tubular masks cover each other, by MONAI's skeleton."""

from __future__ import annotations

import numpy as np


def centreline_dice(prediction: np.ndarray, reference: np.ndarray) -> float:
    """Return the clDice of two masks: the harmonic mean of topology precision and sensitivity.

    Precision is the part of the prediction's skeleton that lies in the reference, sensitivity the part of the
    reference's skeleton that lies in the prediction.

    Parameters
    ----------
    prediction, reference
        Boolean arrays of one shape, 2D or 3D, neither empty. What lies beyond the array counts as outside.

    Raises
    ------
    ValueError
        The arrays are neither 2D nor 3D.

    Notes
    -----
    Source: Shit et al. 2021, arXiv:2003.07311. The value is that of MONAI's `SoftclDiceLoss` (1 - loss) without
    its smoothing terms, and with as many steps as it takes until nothing is left: its default of 3 loses the
    middle of a thick mask. Of masks, MONAI's max-pooling is binary morphology, which takes a hundredth of the
    time; the tests hold both skeletons equal. Voxels are counted, whatever their spacing.
    """
    ours, theirs = skeleton(prediction), skeleton(reference)
    precision = int((ours & reference).sum()) / int(ours.sum())
    sensitivity = int((theirs & prediction).sum()) / int(theirs.sum())
    return 2 * precision * sensitivity / (precision + sensitivity) if precision and sensitivity else 0.0


def skeleton(mask: np.ndarray) -> np.ndarray:
    """Return MONAI's skeleton of a mask: what each opening takes away while it is eroded until nothing is left."""
    if mask.ndim not in (2, 3):
        raise ValueError(f"clDice needs masks of 2 or 3 axes, not {mask.ndim}")
    thin = np.zeros_like(mask)
    left, inside = mask, thin
    while left.any():
        eroded = _eroded(left)
        inside |= left & ~_dilated(eroded, left.shape)
        left, inside = eroded, inside[(slice(1, -1),) * mask.ndim]
    return thin


def _eroded(mask: np.ndarray) -> np.ndarray:
    """Return the voxels whose face neighbours are all in the mask, without the outermost, which never are."""
    inner = mask[(slice(1, -1),) * mask.ndim].copy()
    for axis in range(mask.ndim):
        for side in (slice(2, None), slice(None, -2)):
            inner &= mask[tuple(side if a == axis else slice(1, -1) for a in range(mask.ndim))]
    return inner


def _dilated(inner: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return what `_eroded` gave with all 26 (8) neighbours, in an array of the `shape` that it came from."""
    grown = np.zeros(shape, bool)
    grown[(slice(1, -1),) * inner.ndim] = inner
    for axis in range(inner.ndim):
        before = np.moveaxis(grown.copy(), axis, 0)
        along = np.moveaxis(grown, axis, 0)
        along[1:] |= before[:-1]
        along[:-1] |= before[1:]
    return grown
