"""MONAI's sliding windows, faster: in the precision that suits the device, by windows that leave slab by slab."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any

import torch
from monai.data import MetaTensor
from monai.inferers import Inferer

from medseg.errors import InputError
from medseg.infer.blending import blended_slabs
from medseg.infer.copies import fused, unchanged
from medseg.infer.device import Network, dtype_of, plain
from medseg.infer.growth import grows, may_grow
from medseg.infer.monai_arguments import Given, by_monai, for_axes, listed, refuse
from medseg.infer.running import Running, running, sees_windows_alone
from medseg.infer.scores import OtherOutput, first, only
from medseg.infer.windows import Windows, adapted_size, importance, stops

Take = Callable[[Any, torch.Tensor], torch.Tensor]  # scores out of a network's output, and its windows


class SlidingWindowInferer(Inferer):
    """Scores of a volume through windows, in place of MONAI's class of this name; 2D networks go slice by slice.

    What takes a window's coordinates or a `condition`, has one or no spatial axis more than two, or gives several
    tensors or such of another size, is left to MONAI's `sliding_window_inference`, in `precision`. So are inputs
    that require gradients, which reach them and the weights; otherwise nothing is differentiated.

    Parameters
    ----------
    roi_size
        Voxels of a window, (I, J, K), also as an array or tensor; (I, J) for a 2D network; one number for all
        axes. An axis of None, 0 or less takes the image's.
    sw_batch_size
        Windows the network sees at once. On a CPU with bfloat16 one is the fastest: a window fills the cache. In
        float32 a CPU is given two instead of one, for which torch has convolutions up to five times as fast.
    overlap
        Share of a window that the next one sees again, for all axes or each.
    mode
        Blending: ``"constant"``; ``"gaussian"``, with `sigma_scale` (for all axes or each) times the window as
        standard deviation and MONAI's lower bound of 1e-3; or ``"separable"``, the same Gaussian without that
        bound, which is faster, takes less memory and is what bundles have.
    padding_mode, cval
        How an image smaller than the window is padded, see `torch.nn.functional.pad`.
    sw_device, device
        Where the network runs (by default where the input is), and where scores are added up and left (by default
        with the input).
    progress
        Show a bar that counts the windows.
    cpu_thresh
        Where `device` is not given: images of more voxels have their scores on the CPU.
    cache_roi_weight_map, buffer_steps, buffer_dim
        MONAI's, without effect: a map of weights is of one window, and slabs are buffers already.
    with_coord
        Whether the network is also given where its windows lie.
    precision
        ``"auto"``, ``"float32"`` or ``"bfloat16"``; scores are added up in float32.
    adapt
        Take windows of up to 1.5 times `roi_size` with a smaller `overlap` where the network gives the same
        result wherever a window lies (no instance norm, no attention): about a quarter of the work.

    Raises
    ------
    InputError
        `CONFIG_BAD_VALUE`: an argument is not among what is allowed.
    """

    def __init__(
        self,
        roi_size: Sequence[int | None] | int | None,
        sw_batch_size: int = 1,
        overlap: Sequence[float] | float = 0.25,
        mode: str = "constant",
        sigma_scale: Sequence[float] | float = 0.125,
        padding_mode: str = "constant",
        cval: float = 0.0,
        sw_device: str | torch.device | None = None,
        device: str | torch.device | None = None,
        progress: bool = False,
        cache_roi_weight_map: bool = False,  # noqa: ARG002
        cpu_thresh: int | None = None,
        buffer_steps: int | None = None,  # noqa: ARG002
        buffer_dim: int = -1,  # noqa: ARG002
        with_coord: bool = False,
        *,
        precision: str = "auto",
        adapt: bool = False,
    ) -> None:
        mode, padding_mode = (str(getattr(name, "value", name)) for name in (mode, padding_mode))  # MONAI's enums
        dtype_of(precision, "cpu")
        importance(1, mode, 1.0)
        roi_size, overlap, sigma_scale = map(listed, (roi_size, overlap, sigma_scale))
        self.any_axes = not isinstance(roi_size, Sequence)
        self.roi_size, self.overlap, self.sigma_scale = for_axes(roi_size, overlap, sigma_scale)
        self.sw_batch_size, self.mode, self.padding_mode, self.cval = sw_batch_size, mode, padding_mode, cval
        self.sw_device, self.device, self.cpu_thresh = sw_device, device, cpu_thresh
        self.progress, self.with_coord = progress, with_coord
        self.precision, self.adapt = precision, adapt
        self.in_pairs = True  # a plan that needs the memory sets it to False

    def __call__(self, inputs: torch.Tensor, network: Network, *args: Any, **kwargs: Any) -> Any:
        """Return scores (B, classes, …), float32, of `inputs` (B, channels, I, J, K), or (B, channels, I, J).

        `args` and `kwargs` go to the network, but for MONAI's `device`, `buffer_steps`, `buffer_dim` and
        `condition`.
        Where inputs are a MetaTensor, so are the scores.
        """
        settings = {name: kwargs.pop(name) for name in ("device", "buffer_steps", "buffer_dim") if name in kwargs}
        refuse(kwargs)
        device = settings.get("device") or self.device
        if device is None and self.cpu_thresh is not None and inputs.shape[2:].numel() > self.cpu_thresh:
            device = "cpu"
        axes = inputs.ndim - 2
        differentiable = torch.is_grad_enabled() and inputs.requires_grad
        if not differentiable and not self.with_coord and "condition" not in kwargs and (axes in (2, 3)):
            with suppress(OtherOutput), unchanged(network):
                return self._blended(inputs, network, device or inputs.device, (args, kwargs))
        return by_monai(self, inputs, network, device, (args, kwargs))

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
        `args` and `kwargs` go to the network. Of several tensors that it gives, the first is taken.

        Raises
        ------
        InputError
            `NETWORK_BAD_OUTPUT`: that is not of the windows' size. `CONFIG_BAD_VALUE`: an argument of MONAI's that
            concerns no slabs.
        """
        refuse({**kwargs, **({"with_coord": True} if self.with_coord else {})}, "condition")
        home = None if keep_on is None else torch.device(keep_on)
        settings = {"axis": axis, "part": part, "keep_on": home}
        return self._walk([volume], network, first, (args, kwargs), **settings)

    def fuse(self, network: torch.nn.Module) -> torch.nn.Module:
        """Return the copy of `network` that may run in its place, where it lies now.

        What takes longest, its graph, is made once and kept. The copy is checked on the first window.
        """
        device = next(network.parameters()).device
        return fused(network, device, dtype_of(self.precision, device.type))

    def windows_at_once(self, device: torch.device) -> int:
        """Return `sw_batch_size`, but two instead of one where torch has the faster convolutions for it."""
        is_slow_alone = device.type == "cpu" and dtype_of(self.precision, "cpu") == torch.float32
        return 2 if self.in_pairs and is_slow_alone and self.sw_batch_size == 1 else self.sw_batch_size

    def windows(self, shape: Sequence[int], network: Network) -> Windows:
        """Return where windows stand over a volume (I, J, K)."""
        size = self._trained_size(shape)
        overlaps = (*self.overlap[: len(self.roi_size)], 0.0)[:3]
        sigmas = (*self.sigma_scale[: len(self.roi_size)], 0.125)[:3]
        if self.adapt and may_grow(network):
            for axis, n in enumerate(shape[: len(self.roi_size)]):
                size[axis], share = adapted_size(n, size[axis], largest=size[axis] * 3 // 2)
                overlaps = (*overlaps[:axis], share, *overlaps[axis + 1 :])
        along = [
            stops(max(n, window), window, overlap, self.mode, sigma)
            for n, window, overlap, sigma in zip(shape, size, overlaps, sigmas, strict=True)
        ]
        lifted = sigmas if self.mode == "gaussian" else None
        return Windows(size, along, self.padding_mode, self.cval, lifted)

    def _trained_size(self, shape: Sequence[int]) -> list[int]:
        given = (*self.roi_size, 1)[:3]
        return [roi if roi > 0 else n for roi, n in zip(given, shape, strict=True)]

    def _walk(
        self, volumes: Sequence[torch.Tensor], network: Network, take: Take, given: Given, **settings: Any
    ) -> Iterator[torch.Tensor]:
        """Yield the slabs of each volume; `given` goes to the network, `settings` to `blended_slabs`."""
        volumes = [plain(volume).detach() for volume in volumes]
        run, windows, at_once = self._ready(volumes[0], network, any(given))
        flat = len(self.roi_size) == 2

        def forward(batch: torch.Tensor) -> torch.Tensor:
            batch = batch[..., 0] if flat else batch
            scores = take(run(batch, *given[0], **given[1]), batch)
            return scores[..., None] if flat else scores

        settings.update(batch_size=at_once, progress=self.progress)
        return blended_slabs(volumes, forward, windows, **settings)

    def _ready(self, volume: torch.Tensor, network: Network, as_given: bool) -> tuple[Running, Windows, int]:
        """Return how the network is run, where, and on how many windows at once.

        What is not known yet is tried on windows of `volume`.
        """
        device = torch.device(self.sw_device or volume.device)
        dtype, windows = dtype_of(self.precision, device.type), self._trained_windows(volume, network)
        if as_given:
            return Running(network, device, dtype), windows, self.sw_batch_size
        run = running(network, device, dtype, lambda: self._sample(volume, windows))
        at_once = self.windows_at_once(device)
        if at_once > self.sw_batch_size and not sees_windows_alone(
            network, run, lambda: self._sample(volume, windows), needs_graph=True
        ):
            at_once = self.sw_batch_size
        if self.adapt and isinstance(network, torch.nn.Module) and may_grow(network):
            larger = self.windows(volume.shape[1:], network)
            if grows(network, run, lambda: self._sample(volume, larger), windows.size[: len(self.roi_size)]):
                return run, larger, at_once
        return run, windows, at_once

    def _blended(
        self, inputs: torch.Tensor, network: Network, home: str | torch.device, given: Given
    ) -> torch.Tensor:
        """Return the scores of a batch of one tensor each, whose windows share the network's batches."""
        self, flat = self._of_axes(inputs.ndim - 2), inputs.ndim == 4
        if self._is_for_monai(inputs, network, given):
            raise OtherOutput
        volumes, home = inputs[..., None] if flat else inputs, torch.device(home)
        scores, done, length = torch.empty(0), 0, volumes.shape[2]
        for slab in self._walk(list(volumes), network, only, given, keep_on=home):
            if done == 0:
                scores = torch.empty((len(volumes), slab.shape[0], *volumes.shape[2:]), device=home)
            image, plane = divmod(done, length)
            scores[image, :, plane : plane + slab.shape[1]] = slab
            done += slab.shape[1]
        scores = scores[..., 0] if flat else scores
        return MetaTensor(scores).copy_meta_from(inputs, copy_attr=False) if hasattr(inputs, "meta") else scores

    def _is_for_monai(self, inputs: torch.Tensor, network: Network, given: Given) -> bool:
        """Whether a network's scores of a window depend on the others in its batch, which then must be MONAI's."""
        if self.sw_batch_size == 1 or any(given) or not isinstance(network, torch.nn.Module):
            return False
        device = torch.device(self.sw_device or inputs.device)
        volume = plain(inputs[0] if inputs.ndim == 5 else inputs[0, ..., None])
        run = Running(network, device, dtype_of(self.precision, device.type))
        return not sees_windows_alone(
            network, run, lambda: self._sample(volume, self._trained_windows(volume, network))
        )

    def _trained_windows(self, volume: torch.Tensor, network: Network) -> Windows:
        trained = copy.copy(self)
        trained.adapt = False
        return trained.windows(volume.shape[1:], network)

    def _sample(self, volume: torch.Tensor, windows: Windows) -> torch.Tensor | None:
        """Return a window (1, channels, …) of its own memory to try a network on; None where none varies."""
        window = windows.sample(volume)
        if window is None:
            return None
        window = window[None].clone()
        return window[..., 0] if len(self.roi_size) == 2 else window

    def _of_axes(self, axes: int) -> SlidingWindowInferer:
        """Return this inferer for images of so many spatial axes; windows of two go over slices of three."""
        if len(self.roi_size) == axes or (len(self.roi_size), axes) == (2, 3):
            return self
        if not self.any_axes:
            raise InputError(
                "CONFIG_BAD_VALUE",
                f"roi_size {self.roi_size}: the images have {axes} spatial axes; give one number or as many",
            )
        made = copy.copy(self)
        made.roi_size = self.roi_size[:axes]
        return made


def window_inferer(
    *,
    patch_size: Sequence[int],
    overlap: float = 0.5,
    batch_size: int = 1,
    precision: str = "auto",
    adapt: bool = True,
    mirror_axes: Sequence[int] = (),  # noqa: ARG001
) -> SlidingWindowInferer:
    """Return a bundle's inferer: windows in 3D, slices where `patch_size` has two axes; Gaussian blending.

    Its weights are ``"separable"``. Mirroring is the network's, by `medseg.bundle.load_model`: `mirror_axes` is
    taken since it is among a bundle's numbers of inference, and does nothing here.
    """
    return SlidingWindowInferer(
        patch_size, batch_size, overlap, mode="separable", precision=precision, adapt=adapt
    )
