"""Which network, how deep, and with which strides and kernels along each axis, for a patch that was chosen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from medseg.errors import InputError
from medseg.networks import halvings
from medseg.planning.choices import Choices
from medseg.planning.patch import Patch, levels_of

LARGEST = {("cpu", 3): 256, ("cpu", 2): 256, ("cuda", 3): 320, ("cuda", 2): 512}  # features; on GPUs nnU-Net's
LEAST_LEVELS = 3  # of a dynunet


def choose_architecture(
    channels: int,
    labels: int,
    size: Sequence[int],
    spacing_mm: np.ndarray,
    first_features: int,
    device: str,
    chosen: Choices,
) -> dict[str, Any]:
    """Return ``medseg::network`` for a patch.

    Parameters
    ----------
    channels, labels
        Of input and output.
    size, spacing_mm
        Of the patch, as many as it has axes.
    first_features
        Of the first level.
    chosen
        With ``full_resolution``.
    """
    full = chosen["full_resolution"].value
    levels = halved(size, spacing_mm)
    plain = full and len(levels.strides) >= LEAST_LEVELS
    reason = (
        "nnU-Net's plain UNet, which halves each axis when it is time" if plain else "its first convolution halves"
    )
    architecture = chosen.take("architecture", "dynunet" if plain else "unet", reason)
    both = {"architecture": architecture, "spatial_dims": len(size), "channels": channels, "labels": labels}
    both["dropout"] = chosen.take("dropout", 0.0, "augmentation regularises enough")
    largest = LARGEST[device, len(size)]
    count = len(levels.strides) if architecture == "dynunet" else len(halvings(size)) + (2 if full else 1)
    features = [min(first_features * 2**level, largest) for level in range(count)]
    reason = f"a level for each halving until no axis has 8 voxels; {first_features}, doubled up to {largest}"
    both["features"] = list(chosen.take("features", features, reason))
    if architecture == "dynunet":
        return {**both, **_dynunet(levels, len(both["features"]), chosen)}
    if architecture != "unet":
        raise InputError("CONFIG_BAD_VALUE", f"architecture={architecture!r}: 'unet' and 'dynunet' are known")
    return {
        **both,
        "full_resolution": full,
        "residual_units": chosen.take("residual_units", 1, "as good as 2 on the hippocampus, and faster"),
        "normalization": chosen.take("normalization", "instance", "batches are small"),
        "activation": chosen.take("activation", "leakyrelu", "a step is shorter"),
    }


def _dynunet(levels: Patch, count: int, chosen: Choices) -> dict[str, Any]:
    """Return strides and kernels of as many levels as there are features, which may have been given."""
    near = "where the spacing is within 2 of the finest"
    strides, kernels = ([list(each) for each in of[:count]] for of in (levels.strides, levels.kernels))
    return {
        "strides": chosen.take("strides", strides, f"an axis is halved {near}"),
        "kernels": chosen.take("kernels", kernels, f"3 {near}, else 1"),
        "deep_supervision": chosen.take("deep_supervision", True, "coarser levels learn sooner"),
    }


def halved(size: Sequence[int], spacing_mm: Sequence[float] | np.ndarray) -> Patch:
    """Return the levels of a patch of exactly that size: as deep as its axes can be halved without a rest."""
    levels = levels_of(size, spacing_mm)
    deep = len(levels.strides)
    while (np.array(size) % np.prod(levels.strides[:deep], axis=0)).any():
        deep -= 1
    return Patch(tuple(size), levels.strides[:deep], levels.kernels[:deep])
