"""The network that a bundle's metadata describes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from medseg.errors import InputError
from medseg.networks.plain_unet import dynunet
from medseg.networks.residual_unet import unet

ARCHITECTURES: Mapping[str, Callable[..., nn.Module]] = {"unet": unet, "dynunet": dynunet}


def build(*, architecture: str = "unet", **numbers: Any) -> nn.Module:
    """Return the network called `architecture` of these numbers.

    Parameters
    ----------
    architecture
        ``"unet"``, see `medseg.networks.unet`, or ``"dynunet"``, see `medseg.networks.dynunet`.
    numbers
        Its arguments.

    Raises
    ------
    InputError
        `CONFIG_BAD_VALUE`: no such architecture, or numbers that contradict each other.
    """
    if architecture not in ARCHITECTURES:
        raise InputError(
            "CONFIG_BAD_VALUE", f"network: architecture {architecture!r}: {', '.join(ARCHITECTURES)} are known"
        )
    return ARCHITECTURES[architecture](**numbers)
