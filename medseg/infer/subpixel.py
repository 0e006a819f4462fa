"""A transposed convolution to few channels as a plain one and a shuffle: a CPU does it in half the time."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import fx, nn

from medseg.infer.fused import calls, module_of

# Bytes of two neighbours' channels in bfloat16, and a type of that size: a shuffle then moves them as one value
PAIRS = {2: torch.complex64, 4: torch.complex128}


class Subpixel(nn.Module):
    """`ConvTranspose3d` with kernel 3, stride 2, to 2, 3 or 4 channels, for bfloat16 that lies channels last.

    Eight output voxels belong to each input voxel. Their kernels are parts of the transposed one, so a convolution
    with a kernel of 2 gives all eight as channels, and laying them out gives the result. Three channels come out
    as four, the last one 0.

    Source: Shi et al. 2016, doi:10.1109/CVPR.2016.207.
    """

    def __init__(self, transposed: nn.ConvTranspose3d) -> None:
        super().__init__()
        given, channels = transposed.weight.detach(), transposed.out_channels
        self.channels = 2 if channels == 2 else 4
        weight = torch.zeros(2, 2, 2, self.channels, given.shape[0], 2, 2, 2)
        # Per axis, (output in the voxel, input tap) to the transposed kernel's tap; an even output has one input
        taps = {(0, 0): 1, (1, 0): 2, (1, 1): 0}
        for (a, i), p in taps.items():
            for (b, j), q in taps.items():
                for (c, k), r in taps.items():
                    weight[a, b, c, :channels, :, i, j, k] = given[:, :, p, q, r].T
        self.weight = nn.Parameter(weight.flatten(0, 3), requires_grad=False)
        bias = torch.zeros(8, self.channels)
        if transposed.bias is not None:
            bias[:, :channels] = transposed.bias.detach()
        self.bias = nn.Parameter(bias.flatten(), requires_grad=False)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return (B, 2 or 4, 2I, 2J, 2K) of `inputs` (B, channels, I, J, K)."""
        size = inputs.shape[2:]
        parts = F.conv3d(
            inputs, self.weight, self.bias, padding=1
        )  # one more than needed at the start of each axis
        pairs = parts.permute(0, 2, 3, 4, 1).contiguous().view(PAIRS[self.channels])[:, 1:, 1:, 1:]
        laid = pairs.unflatten(-1, (2, 2)).permute(0, 1, 4, 2, 5, 3).contiguous().view(inputs.dtype)
        return laid.view(len(inputs), *(2 * n for n in size), self.channels).permute(0, 4, 1, 2, 3)


def use_subpixels(network: nn.Module) -> None:
    """Exchange the transposed convolutions of a network's graphs, where it fits."""
    for graph in [module for module in network.modules() if isinstance(module, fx.GraphModule)]:
        for node in calls(graph):
            _use_subpixel(graph, node)


def _use_subpixel(graph: fx.GraphModule, node: fx.Node) -> None:
    """Exchange a transposed convolution, and widen the convolution that follows if a channel of zeros came in."""
    module, users = module_of(graph, node), list(node.users)
    if module is None or not fits(module):
        return
    follower = users[0] if len(users) == 1 else None
    if follower is not None and follower.target is F.leaky_relu and len(follower.users) == 1:
        follower = next(iter(follower.users))
    after = module_of(graph, follower)
    if type(after) is not nn.Conv3d or after.groups != 1 or after.padding_mode != "zeros":
        return
    swapped = Subpixel(module)  # type: ignore[arg-type]
    graph.set_submodule(str(node.target), swapped)
    missing = swapped.channels - after.in_channels
    after.weight = nn.Parameter(F.pad(after.weight, (0, 0, 0, 0, 0, 0, 0, missing)), requires_grad=False)
    after.in_channels += missing


def fits(module: nn.Module) -> bool:
    """Whether `Subpixel` can stand for a module."""
    return (
        type(module) is nn.ConvTranspose3d
        and (module.kernel_size, module.stride) == ((3, 3, 3), (2, 2, 2))
        and (module.padding, module.output_padding) == ((1, 1, 1), (1, 1, 1))
        and (module.dilation, module.groups) == ((1, 1, 1), 1)
        and 2 <= module.out_channels <= 4
    )
