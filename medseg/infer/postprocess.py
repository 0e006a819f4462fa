"""From a network's output on its own grid to a label map on the input's."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import torch
from monai.transforms import Compose, MapTransform, Transform

from medseg.cases import Regions, painted_ids
from medseg.infer.components import keep_largest_component
from medseg.infer.native import native_labels
from medseg.preprocess import IMAGE, PRED

COMPONENTS = "pred_components"


def to_native_labels(
    *, largest_component: Sequence[int | Sequence[int]] = (), regions: Regions | None = None
) -> Compose:
    """Return the transforms from scores (classes, I, J, K) under ``pred`` to a label map (1, I, J, K).

    The scores are interpolated at the native voxels, linearly, and only then is each voxel given its best class:
    labels are never interpolated.

    Parameters
    ----------
    largest_component
        Labels of which only the largest connected component is kept; a list among them is taken as one structure,
        as is the id of a region, which stands for all ids of the region.
    regions
        Where the network's channels are logits of overlapping regions: their ids by name, in the channels' order.
        The label map holds `medseg.cases.painted_ids`.
    """
    ids = painted_ids(regions) if regions else {}
    unions = {ids[name]: tuple(union) for name, union in (regions or {}).items()}
    steps: list[Transform] = [ToNativeLabelsd(PRED, unions)]
    if largest_component:
        steps.append(LargestComponentd(PRED, structures(largest_component, unions)))
    return Compose(steps)


def structures(
    labels: Sequence[int | Sequence[int]], unions: Mapping[int, Sequence[int]]
) -> list[int | Sequence[int]]:
    """Return labels with the ids of each region, by `unions`, in place of the one it is painted with."""
    return [unions.get(each, each) if isinstance(each, int) else each for each in labels]


class ToNativeLabelsd(MapTransform):
    """Scores (classes, I, J, K) on the grid of ``image`` to labels (1, I, J, K) on the grid it was read with.

    See `medseg.infer.native.NativeLabels`, which does the same slab by slab. uint8 up to 256 classes, else uint16.

    Parameters
    ----------
    unions
        Of overlapping regions: the ids of each, by that which it is painted with; else empty.
    """

    def __init__(self, keys: Any, unions: Mapping[int, Sequence[int]] | None = None) -> None:
        super().__init__(keys)
        self.unions = unions or {}

    @property
    def region_ids(self) -> list[int] | None:
        """As `NativeLabels` takes them."""
        return list(self.unions) or None

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        out = dict(data)
        image = out[IMAGE]
        for key in self.key_iterator(out):
            native = native_labels(image, axis=0, region_ids=self.region_ids)
            native.add(torch.as_tensor(out[key]))
            out[key] = torch.from_numpy(native.finish())[None]
        return out


class LargestComponentd(MapTransform):
    """Set all but the largest 26-connected component of each of these labels to background.

    Where `COMPONENTS` holds those of this very label map they are taken, and left out of what is returned.
    """

    def __init__(self, keys: Any, labels: Sequence[int | Sequence[int]]) -> None:
        super().__init__(keys)
        self.labels = tuple(labels)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        out = dict(data)
        found = out.pop(COMPONENTS, None)
        for key in self.key_iterator(out):
            kept = keep_largest_component(out[key][0].cpu().numpy(), self.labels, found)
            out[key] = torch.as_tensor(kept)[None]
        return out
