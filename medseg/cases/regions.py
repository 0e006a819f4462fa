"""Regions that overlap, each the union of label ids: as a loss's channels, as masks, painted in one map."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from medseg.errors import InputError

if TYPE_CHECKING:
    import torch

Regions = Mapping[str, Sequence[int]]  # ids by name, in the order of the network's channels


def region_channels(labels: torch.Tensor, regions: Regions) -> torch.Tensor:
    """Return the masks (B, regions, …), float32, of label maps (B, 1, …): 1 where an id is of the region."""
    import torch

    ids = [torch.as_tensor(list(of_region), device=labels.device) for of_region in regions.values()]
    plain = labels.as_subclass(torch.Tensor)
    return torch.cat([torch.isin(plain, of_region.to(plain.dtype)) for of_region in ids], dim=1).float()


def region_mask(labels: np.ndarray, ids: Sequence[int]) -> np.ndarray:
    """Return where an integer array holds one of `ids`; it lies in memory as the array does."""
    mask = labels == ids[0]
    for i in ids[1:]:
        mask |= labels == i
    return mask


def painted_ids(regions: Regions) -> dict[str, int]:
    """Return the id that label maps hold for each region: its first one that is in no later region.

    Regions are painted in their order, so that a later one covers an earlier one: larger ones come first.

    Raises
    ------
    InputError
        `CONFIG_BAD_VALUE`: a region without ids or with 0, or all of whose ids are in later regions.
    """
    listed = list(regions.items())
    found = {}
    for place, (name, ids) in enumerate(listed):
        if not isinstance(ids, (list, tuple)) or not ids or not all(type(i) is int and i > 0 for i in ids):
            raise InputError(
                "CONFIG_BAD_VALUE", f"regions, {name}: {ids!r}; a list of label ids, from 1 on, is needed"
            )
        later = {i for _, others in listed[place + 1 :] for i in others}
        own = [i for i in ids if i not in later]
        if not own:
            raise InputError(
                "CONFIG_BAD_VALUE",
                f"regions, {name}: each of its ids {list(ids)} is in a later region, so no id is left for its own "
                "voxels in a label map; list larger regions first, or leave it out",
            )
        found[name] = own[0]
    return found


def painted(labels: np.ndarray, regions: Regions) -> np.ndarray:
    """Return a label map as a model of `regions` writes it: of each voxel the id of its last region; else 0."""
    return painted_masks([region_mask(labels, ids) for ids in regions.values()], regions)


def painted_masks(masks: Sequence[np.ndarray], regions: Regions) -> np.ndarray:
    """Return one label map of the masks of `regions`, in their order: each voxel has the id of its last one."""
    ids = list(painted_ids(regions).values())
    result = np.zeros(masks[0].shape, np.uint8 if max(ids) < 256 else np.uint16)
    for i, mask in zip(ids, masks, strict=True):
        result[mask] = i
    return result
