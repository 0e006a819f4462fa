"""MONAI's inferer of whole images, in the precision that suits the device."""

from __future__ import annotations

from typing import Any

import monai.inferers
import torch

from medseg.infer.device import Network, in_precision


class SimpleInferer(monai.inferers.SimpleInferer):
    """The network on the whole input, in `precision`; what training uses."""

    def __init__(self, precision: str = "auto") -> None:
        super().__init__()
        self.precision = precision

    def __call__(self, inputs: torch.Tensor, network: Network, *args: Any, **kwargs: Any) -> torch.Tensor:
        return super().__call__(inputs, in_precision(network, self.precision), *args, **kwargs)
