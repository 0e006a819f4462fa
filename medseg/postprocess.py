"""From a network's output on its own grid to a label map on the input's."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import cc3d
import numpy as np
import torch
from monai.transforms import Compose, MapTransform, Transform
from scipy import ndimage

from medseg.metrics.lesions import components
from medseg.native import native_labels
from medseg.preprocess import IMAGE

PRED = "pred"


def to_native_labels(_: Compose | None = None, *, largest_component: Sequence[int] = ()) -> Compose:
    """Return the transforms from scores (classes, I, J, K) under ``pred`` to a label map (1, I, J, K).

    The scores are interpolated at the native voxels, linearly, and only then is each voxel given its best class:
    labels are never interpolated.

    Parameters
    ----------
    largest_component
        Labels of which only the largest connected part is kept.

    Notes
    -----
    Bundles give the preprocessing as a first argument; it is not needed, since ``image`` in the same dictionary
    carries both grids.
    """
    steps: list[Transform] = [ToNativeLabelsd(PRED)]
    if largest_component:
        steps.append(LargestComponentd(PRED, largest_component))
    return Compose(steps)


class ToNativeLabelsd(MapTransform):
    """Scores (classes, I, J, K) on the grid of ``image`` to labels (1, I, J, K) on the grid it was read with.

    See `medseg.native.NativeLabels`, which does the same slab by slab. uint8 up to 256 classes, else uint16.
    """

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        out = dict(data)
        image = out[IMAGE]
        for key in self.key_iterator(out):
            native = native_labels(image, axis=0)
            native.add(torch.as_tensor(out[key]))
            out[key] = torch.from_numpy(native.finish())[None]
        return out


class LargestComponentd(MapTransform):
    """Set all but the largest 26-connected part of each of these labels to background."""

    def __init__(self, keys: Any, labels: Sequence[int]) -> None:
        super().__init__(keys)
        self.labels = tuple(labels)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        out = dict(data)
        for key in self.key_iterator(out):
            kept = keep_largest_component(out[key][0].cpu().numpy(), self.labels)
            out[key] = torch.as_tensor(kept)[None]
        return out


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
