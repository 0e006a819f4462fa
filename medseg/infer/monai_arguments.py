"""What MONAI's inferer takes: its arguments for each axis, those refused, and what is left to MONAI's function."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from monai.inferers import sliding_window_inference
from torch.utils._pytree import tree_map

from medseg.errors import InputError
from medseg.infer.device import Network, dtype_of, plain
from medseg.infer.running import Running

if TYPE_CHECKING:
    from medseg.infer.inferers import SlidingWindowInferer

Given = tuple[tuple, Mapping[str, Any]]  # what goes to the network beside its windows


def listed(value: Any) -> Any:
    """Return the numbers of an array or tensor as a list, or as one number where it has no axis."""
    return value.tolist() if isinstance(value, (np.ndarray, torch.Tensor)) else value


def for_axes(
    roi_size: Sequence[int | None] | int | None,
    overlap: Sequence[float] | float,
    sigma_scale: Sequence[float] | float,
) -> tuple[tuple[int, ...], tuple[float, ...], tuple[float, ...]]:
    """Return the window, where 0 is the image's size, overlaps and sigma scales of each axis.

    There are as many as `roi_size` has; one number stands for three, of which an image may have the first two.

    Raises
    ------
    InputError
        `CONFIG_BAD_VALUE`: they are not as many, or an overlap is not a share.
    """
    sizes = tuple(n or 0 for n in roi_size) if isinstance(roi_size, Sequence) else (roi_size or 0,) * 3
    if len(sizes) not in (1, 2, 3):
        raise InputError(
            "CONFIG_BAD_VALUE", f"roi_size {roi_size}: give one number, or one for each of 1 to 3 axes"
        )
    found = []
    for name, value in (("overlap", overlap), ("sigma_scale", sigma_scale)):
        values = tuple(value) if isinstance(value, Sequence) else (value,) * len(sizes)
        if len(values) != len(sizes):
            raise InputError(
                "CONFIG_BAD_VALUE", f"{name} {value}: give one number, or {len(sizes)}, one for each axis"
            )
        found.append(values)
    if not all(0 <= share < 1 for share in found[0]):
        raise InputError("CONFIG_BAD_VALUE", f"overlap {overlap}: it must be at least 0 and less than 1")
    return sizes, found[0], found[1]


def refuse(arguments: Mapping[str, Any], *names: str) -> None:
    """Refuse `names`, and those that `sliding_window_inference` has, among what would go to the network."""
    known = [*inspect.signature(sliding_window_inference).parameters][:-2]
    for name in arguments:
        if name in (*known, *names):
            raise InputError("CONFIG_BAD_VALUE", f"{name} is not taken here; an inferer takes it, or none does")


def by_monai(
    inferer: SlidingWindowInferer,
    inputs: torch.Tensor,
    network: Network,
    device: str | torch.device | None,
    given: Given,
) -> Any:
    """Return what MONAI's function does with an inferer's settings; the network is run in its precision.

    Where gradients are enabled and the inputs require them, it is the network as given, which has them.
    """
    runs_on, axes = torch.device(inferer.sw_device or inputs.device), inputs.ndim - 2
    dtype = dtype_of(inferer.precision, runs_on.type)
    differentiable = torch.is_grad_enabled() and inputs.requires_grad
    autocast = differentiable and dtype == torch.bfloat16
    run = network if differentiable else Running(network, runs_on, dtype)

    def predictor(windows: torch.Tensor, *coordinates: Any, **kwargs: Any) -> Any:
        with torch.autocast(runs_on.type, dtype=torch.bfloat16) if autocast else nullcontext():
            output = run(plain(windows).clone(), *coordinates, *given[0], **kwargs)
        return tree_map(_in_float32, output)

    with torch.set_grad_enabled(differentiable):
        return sliding_window_inference(
            inputs,
            inferer.roi_size[:axes] if inferer.any_axes else inferer.roi_size,
            inferer.sw_batch_size,
            predictor,
            overlap=inferer.overlap[:axes],
            mode="gaussian" if inferer.mode == "separable" else inferer.mode,
            sigma_scale=inferer.sigma_scale[:axes],
            padding_mode=inferer.padding_mode,
            cval=inferer.cval,
            sw_device=runs_on,
            device=device,
            progress=inferer.progress,
            with_coord=inferer.with_coord,
            **given[1],
        )


def _in_float32(output: Any) -> Any:
    """Return a tensor of its own, which may be added to outside of inference mode."""
    if not isinstance(output, torch.Tensor):
        return output
    return output.to(torch.float32 if output.is_floating_point() else output.dtype, copy=True)
