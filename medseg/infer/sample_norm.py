"""Instance norm for channels that lie last."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn


class SampleNorm(nn.Module):
    """Instance norm as batch norm of one sample at a time: the same numbers, and the channels stay last."""

    def __init__(self, norm: nn.InstanceNorm2d | nn.InstanceNorm3d) -> None:
        super().__init__()
        self.weight, self.bias, self.eps = norm.weight, norm.bias, norm.eps

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        samples = [
            F.batch_norm(one, None, None, self.weight, self.bias, training=True, eps=self.eps)
            for one in inputs.split(1)
        ]
        return samples[0] if len(samples) == 1 else torch.cat(samples)


def use_sample_norms(network: nn.Module) -> None:
    """Exchange a network's instance norms, but those with statistics of their own."""
    for name, module in list(network.named_modules()):
        if type(module) in (nn.InstanceNorm2d, nn.InstanceNorm3d) and not module.track_running_stats:
            network.set_submodule(name, SampleNorm(module))
