"""clDice: how well the centrelines of two tubular masks cover each other, by MONAI's skeleton."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import distance_transform_cdt


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
    Source: Shit et al. 2021, arXiv:2003.07311, by MONAI's `soft_skel`, as `monai.losses.SoftclDiceLoss` computes
    it, without that loss's smoothing terms. Voxels are counted, whatever their spacing, as there.
    """
    ours, theirs = skeleton(prediction), skeleton(reference)
    precision = int((ours & reference).sum()) / int(ours.sum())
    sensitivity = int((theirs & prediction).sum()) / int(theirs.sum())
    return 2 * precision * sensitivity / (precision + sensitivity) if precision and sensitivity else 0.0


def skeleton(mask: np.ndarray) -> np.ndarray:
    """Return MONAI's skeleton of a mask: what each opening takes away while it is eroded until nothing is left."""
    import torch
    from monai.losses.cldice import soft_skel

    if mask.ndim not in (2, 3):
        raise ValueError(f"clDice needs masks of 2 or 3 axes, not {mask.ndim}")
    padded = np.pad(mask, 1)  # MONAI's erosion takes nothing from the border of an array
    # Each step takes the voxels with a face neighbour outside, so the largest city-block distance to outside is
    # the number of steps after which the mask is gone: more add nothing, fewer miss the middle of a thick mask.
    steps = int(distance_transform_cdt(padded, metric="taxicab").max())
    thin = soft_skel(torch.from_numpy(padded)[None, None].float(), steps)[0, 0].numpy() > 0
    return thin[(slice(1, -1),) * mask.ndim]
