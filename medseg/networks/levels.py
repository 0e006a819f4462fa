"""The levels of a network's way down, to be frozen one by one."""

from __future__ import annotations

from monai.networks.layers import SkipConnection
from monai.networks.nets import DynUNet, UNet
from torch import nn

from medseg.errors import InputError


def levels_from_input(network: nn.Module) -> list[nn.Module]:
    """Return the modules that bring an image from each resolution to the next, the input's first.

    Raises
    ------
    InputError
        `CONFIG_BAD_VALUE`: neither of MONAI's `UNet` and `DynUNet`.
    """
    if isinstance(network, DynUNet):
        return [network.input_block, *network.downsamples, network.bottleneck]
    if not isinstance(network, UNet):
        raise InputError(
            "CONFIG_BAD_VALUE",
            f"freeze: the levels of a {type(network).__name__} are not known, only those of UNet and DynUNet; "
            "leave freeze at 0",
        )
    levels: list[nn.Module] = []
    block = network.model
    while len(block) == 3 and isinstance(block[1], SkipConnection):
        levels.append(block[0])
        block = block[1].submodule
        if not isinstance(block, nn.Sequential):
            break
    return [*levels, block]
