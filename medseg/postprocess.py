"""From a network's output on its own grid to a label map on the input's."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import cc3d
import numpy as np
import torch
from monai.transforms import Compose, Invertd, MapTransform, Transform

from medseg.preprocess import IMAGE

PRED = "pred"


def to_native_labels(preprocessing: Compose, *, largest_component: Sequence[int] = ()) -> Compose:
    """Return the transforms from scores (classes, I, J, K) under ``pred`` to a label map.

    The scores go back through every step of `preprocessing`, linearly where it resampled, and only then
    is each voxel given its best class: labels are never interpolated.

    Parameters
    ----------
    preprocessing
        What made the network's input; ``image`` in the same dictionary carries how.
    largest_component
        Labels of which only the largest connected part is kept.
    """
    steps: list[Transform] = [
        Invertd(PRED, preprocessing, orig_keys=IMAGE, nearest_interp=False, to_tensor=True),
        BestLabeld(PRED),
    ]
    if largest_component:
        steps.append(LargestComponentd(PRED, largest_component))
    return Compose(steps)


class BestLabeld(MapTransform):
    """Scores (classes, I, J, K) to the index of the best class (1, I, J, K), uint8."""

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        out = dict(data)
        for key in self.key_iterator(out):
            out[key] = out[key].argmax(dim=0, keepdim=True).to(torch.uint8)
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
    """Return `label_map` (I, J, K) with only the largest 26-connected part of each of `labels`."""
    kept = label_map.copy()
    for label in labels:
        mask = label_map == label
        if mask.any():
            kept[mask & ~cc3d.largest_k(mask, k=1, connectivity=26).astype(bool)] = 0
    return kept
