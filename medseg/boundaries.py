"""Boundary IoU: agreement of the outlines, which large masks cannot hide in their insides."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.ndimage import binary_erosion, distance_transform_edt

BOUNDARY_WIDTH_MM = 2.0
ROUNDING_MM = 1e-5  # spacings come from float32 affines: 2 x 0.7 mm must lie within a width of 1.4 mm


def boundary_iou(
    prediction: np.ndarray,
    reference: np.ndarray,
    spacing_mm: Sequence[float],
    width_mm: float = BOUNDARY_WIDTH_MM,
) -> float:
    """Return the IoU of the boundary bands of two masks, see `boundary_band`.

    Parameters
    ----------
    prediction, reference
        Boolean arrays of one shape, 2D or 3D, neither empty. What lies beyond the array counts as outside.
    spacing_mm
        Distance of neighbouring voxels along each axis.
    width_mm
        How deep the bands are. Wider than half of a structure, it gives the structure's IoU.

    Notes
    -----
    Source: Cheng et al. 2021, arXiv:2103.16562, where the width is 2 % of the photograph's diagonal. The
    diagonal of a volume says how much air was scanned around a patient, nothing about a structure (14 mm for a
    torso CT), so here it is a fixed length in mm. The distance is Euclidean and in mm; there, it counts
    erosions by 3 x 3 pixels.
    """
    ours, theirs = boundary_band(prediction, spacing_mm, width_mm), boundary_band(reference, spacing_mm, width_mm)
    return int((ours & theirs).sum()) / int((ours | theirs).sum())


def boundary_band(mask: np.ndarray, spacing_mm: Sequence[float], width_mm: float) -> np.ndarray:
    """Return the mask's voxels whose centre lies at most `width_mm` from that of a voxel outside.

    Voxels with a face neighbour outside always belong to it: where slices are thicker than the width, the band is
    one voxel thick.
    """
    padded = np.pad(mask, 1)
    band = padded & ~binary_erosion(padded)
    band |= padded & (distance_transform_edt(padded, sampling=spacing_mm) <= width_mm + ROUNDING_MM)
    return band[(slice(1, -1),) * mask.ndim]
