"""From a network's output on its own grid to a label map on the input's."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from copy import deepcopy
from typing import Any

import cc3d
import numpy as np
import torch
from monai.data import MetaTensor
from monai.transforms import Compose, MapTransform, Transform
from monai.transforms.utils import allow_missing_keys_mode

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
        ToNativeGridd(PRED, preprocessing),
        BestLabeld(PRED),
    ]
    if largest_component:
        steps.append(LargestComponentd(PRED, largest_component))
    return Compose(steps)


class ToNativeGridd(MapTransform):
    """Undo on these keys what `preprocessing` did to ``image``.

    MONAI's ``Invertd`` leaves a tensor that lost its metadata as it is, on the wrong grid, with a warning.
    """

    def __init__(self, keys: Any, preprocessing: Compose) -> None:
        super().__init__(keys)
        self.preprocessing = preprocessing

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        out = dict(data)
        image = out[IMAGE]
        for key in self.key_iterator(out):
            scores = torch.as_tensor(out[key]).detach()
            traced = MetaTensor(
                scores, meta=deepcopy(image.meta), applied_operations=deepcopy(image.applied_operations)
            )
            with allow_missing_keys_mode(self.preprocessing):
                out[key] = self.preprocessing.inverse({IMAGE: traced})[IMAGE]
        return out


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
