"""Whether a network is for slices or volumes."""

from __future__ import annotations

from torch import nn


def spatial_dims_of(network: nn.Module) -> int:
    return next((p.ndim for p in network.parameters() if p.ndim > 3), 5) - 2
