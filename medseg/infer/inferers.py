"""MONAI's inferers, faster: in the precision that suits the device, by windows that leave slab by slab."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import monai.inferers
import torch

from medseg.errors import InputError
from medseg.infer.blending import blended_slabs
from medseg.infer.device import LAYOUTS, Network, dtype_of, in_precision, plain
from medseg.infer.fused import fused, is_placeless
from medseg.infer.windows import Windows, adapted_size, importance, stops


class SimpleInferer(monai.inferers.SimpleInferer):
    """The network on the whole input, in `precision`; what training uses."""

    def __init__(self, precision: str = "auto") -> None:
        super().__init__()
        self.precision = precision

    def __call__(self, inputs: torch.Tensor, network: Network, *args: Any, **kwargs: Any) -> torch.Tensor:
        return super().__call__(inputs, in_precision(network, self.precision), *args, **kwargs)


class SlidingWindowInferer(monai.inferers.Inferer):
    """Scores of a volume through windows, in place of MONAI's class of this name; 2D networks go slice by slice.

    Parameters
    ----------
    roi_size
        Voxels of a window, (I, J, K); (I, J) for a 2D network; an axis of 0 or less takes the image's.
    sw_batch_size
        Windows the network sees at once. On a CPU one is the fastest: a window fills the cache.
    overlap
        Share of a window that the next one sees again.
    mode
        Blending: ``"constant"`` or ``"gaussian"``, with `sigma_scale` times the window as standard deviation.
    padding_mode, cval
        How an image smaller than the window is padded, see `torch.nn.functional.pad`.
    sw_device, device
        Where the network runs (by default where the input is), and where scores are added up and left (by default
        with the input).
    precision
        ``"auto"``, ``"float32"`` or ``"bfloat16"``; scores are added up in float32.
    adapt
        Take windows of up to 1.5 times `roi_size` with a smaller `overlap` where the network gives the same
        result wherever a window lies (no instance norm): about a quarter of the work.
    """

    def __init__(
        self,
        roi_size: Sequence[int],
        sw_batch_size: int = 1,
        overlap: float = 0.25,
        mode: str = "constant",
        sigma_scale: float = 0.125,
        padding_mode: str = "constant",
        cval: float = 0.0,
        sw_device: str | torch.device | None = None,
        device: str | torch.device | None = None,
        *,
        precision: str = "auto",
        adapt: bool = False,
    ) -> None:
        if not 0 <= overlap < 1:
            raise InputError("CONFIG_BAD_VALUE", f"overlap {overlap}: it must be at least 0 and less than 1")
        mode, padding_mode = (str(getattr(name, "value", name)) for name in (mode, padding_mode))  # MONAI's enums
        dtype_of(precision, "cpu")
        importance(1, mode, sigma_scale)
        self.roi_size, self.sw_batch_size, self.overlap = tuple(roi_size), sw_batch_size, overlap
        self.mode, self.sigma_scale = mode, sigma_scale
        self.padding_mode, self.cval = padding_mode, cval
        self.sw_device, self.device = sw_device, device
        self.precision, self.adapt = precision, adapt

    def __call__(self, inputs: torch.Tensor, network: Network, *args: Any, **kwargs: Any) -> torch.Tensor:
        """Return scores (B, classes, …), float32, of `inputs` (B, channels, I, J, K), or (B, channels, I, J)."""
        flat = inputs.ndim == 4
        volumes = inputs[..., None] if flat else inputs
        home = torch.device(self.device or inputs.device)
        results: list[torch.Tensor] = []
        for volume in volumes:
            scores, done = torch.empty(0), 0
            for slab in self.slabs(volume, network, *args, keep_on=home, **kwargs):
                if done == 0:
                    scores = torch.empty((slab.shape[0], *volume.shape[1:]), device=home)
                scores[:, done : done + slab.shape[1]] = slab
                done += slab.shape[1]
            results.append(scores)
        stacked = torch.stack(results) if len(results) > 1 else results[0][None]
        return stacked[..., 0] if flat else stacked

    def slabs(
        self,
        volume: torch.Tensor,
        network: Network,
        *args: Any,
        axis: int = 0,
        keep_on: str | torch.device | None = None,
        part: tuple[int, int, int] | None = None,
        **kwargs: Any,
    ) -> Iterator[torch.Tensor]:
        """Yield the scores of `volume` (channels, I, J, K) as slabs (classes, I, J, K) that follow along `axis`.

        A slab is valid until the next one is asked for; for `part` see `medseg.infer.blending.blended_slabs`.
        `args` and `kwargs` go to the network.
        """
        device = torch.device(self.sw_device or volume.device)
        dtype = dtype_of(self.precision, device.type)
        windows = self.windows(volume.shape[1:], network)
        if isinstance(network, torch.nn.Module):
            network = fused(network, device, dtype)
        flat = len(self.roi_size) == 2

        @torch.inference_mode()
        def forward(batch: torch.Tensor) -> torch.Tensor:
            batch = batch[..., 0] if flat else batch
            batch = batch.to(device, dtype, non_blocking=True)
            batch = batch.contiguous(memory_format=LAYOUTS[batch.ndim - 2])
            scores = network(batch, *args, **kwargs)
            return scores[..., None] if flat else scores

        return blended_slabs(
            [plain(volume)],
            forward,
            windows,
            axis=axis,
            batch_size=self.sw_batch_size,
            keep_on=None if keep_on is None else torch.device(keep_on),
            part=part,
        )

    def fuse(self, network: torch.nn.Module) -> torch.nn.Module:
        """Return the copy of `network` that runs in its place, where it lies now; it is made once and kept.

        Where several threads run networks, it is to be made before they start: while torch.fx traces a network, it
        takes the calls of modules in all threads.
        """
        device = next(network.parameters()).device
        return fused(network, device, dtype_of(self.precision, device.type))

    def windows(self, shape: Sequence[int], network: Network) -> Windows:
        """Return where windows stand over a volume (I, J, K)."""
        given = (*self.roi_size, 1)[:3]
        size = [roi if roi > 0 else n for roi, n in zip(given, shape, strict=True)]
        overlaps = [self.overlap] * 2 + [0.0 if len(self.roi_size) == 2 else self.overlap]
        if self.adapt and isinstance(network, torch.nn.Module) and is_placeless(network):
            for axis, n in enumerate(shape[: len(self.roi_size)]):
                size[axis], overlaps[axis] = adapted_size(n, size[axis], largest=size[axis] * 3 // 2)
        along = [
            stops(max(n, window), window, overlap, self.mode, self.sigma_scale)
            for n, window, overlap in zip(shape, size, overlaps, strict=True)
        ]
        return Windows(size, along, self.padding_mode, self.cval)


def window_inferer(
    *,
    patch_size: Sequence[int],
    overlap: float = 0.5,
    batch_size: int = 1,
    precision: str = "auto",
    adapt: bool = True,
) -> SlidingWindowInferer:
    """Return a bundle's inferer: windows in 3D, slices where `patch_size` has two axes; Gaussian blending."""
    return SlidingWindowInferer(patch_size, batch_size, overlap, mode="gaussian", precision=precision, adapt=adapt)
