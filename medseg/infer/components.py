"""Connected parts of label maps: counted, or only the largest kept."""

from __future__ import annotations

from collections.abc import Sequence

import cc3d
import numpy as np
from scipy import ndimage

from medseg.metrics import components


def keep_largest_component(label_map: np.ndarray, labels: Sequence[int]) -> np.ndarray:
    """Return `label_map` (I, J, K) with only the largest 26-connected part of each of `labels`.

    Of equally large parts the one with the first voxel, in the order of (I, J, K), is kept.
    """
    kept = label_map.copy(order="K")
    # SciPy walks fastest along the last axis; a map as NIfTI stores it varies fastest along the first.
    turned = kept.T if kept.flags.f_contiguous else kept
    boxes = ndimage.find_objects(turned)
    for label in labels:
        if not 0 < label <= len(boxes) or (box := boxes[label - 1]) is None:
            continue
        crop = turned[box]
        if turned is not kept:
            crop = crop.T
        parts, n_parts = components(crop == label)
        if n_parts > 1:
            sizes = cc3d.statistics(parts, no_slice_conversion=True)["voxel_counts"]
            sizes[0] = 0
            largest = np.flatnonzero(sizes == sizes.max())
            if len(largest) > 1:
                largest[0] = min(largest, key=lambda part: tuple(np.argwhere(parts == part)[0]))
            crop[(parts != 0) & (parts != largest[0])] = 0
    return kept


def count_components(label_map: np.ndarray) -> dict[int, int]:
    """Return how many 26-connected parts each label of `label_map` (I, J, K) has, background left out."""
    turned = label_map.T if label_map.flags.f_contiguous else label_map
    counts = {}
    for label, box in enumerate(ndimage.find_objects(turned), start=1):
        if box is not None:
            _, counts[label] = components(np.ascontiguousarray(turned[box] == label))
    return counts
