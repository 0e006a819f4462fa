"""Random changes of the intensities of a batch of patches, where it lies: each drawn for its patch alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

# nnU-Net's ranges: standard deviation of the noise, of the blur in voxels; share of the resolution; factors;
# exponents
RANGES = {
    **{"noise": (0.0, 0.1), "blur": (0.5, 1.0), "low_resolution": (0.5, 1.0), "brightness": (0.75, 1.25)},
    **{"contrast": (0.75, 1.25), "inverted_gamma": (0.7, 1.5), "gamma": (0.7, 1.5)},
}
BLUR_REACH = 4  # standard deviations


@dataclass(frozen=True)
class Intensities:
    """Changes of intensities, each with its probability.

    Attributes
    ----------
    probabilities
        See `medseg.training.augmentation`.
    coarse_axis
        Across which the resolution is low already.

    Source: Isensee et al. 2021, doi:10.1038/s41592-020-01008-z, supplementary note 4.
    """

    probabilities: Mapping[str, float]
    coarse_axis: int | None = None

    def change(self, images: torch.Tensor, randoms: Sequence[np.random.Generator]) -> torch.Tensor:
        """Return `images` (B, C, I, J, K) changed, each by its own draws; they may be changed in place.

        What a patch becomes does not depend on the others of its batch.
        """
        drawn = [self._draw(random, images.shape[1:]) for random in randoms]
        for image, draw in zip(images, drawn, strict=True):
            if (sd := draw.values["noise"]) is not None:
                add_noise(image, sd, draw.seed)
            for channel, matrices in enumerate(draw.smoothing):
                image[channel] = along_axes(image[channel], matrices)
        for kind, change in POINTWISE.items():
            values = [draw.values[kind] for draw in drawn]
            places = [place for place, value in enumerate(values) if value is not None]
            if places:
                chosen = torch.tensor(places, device=images.device)
                given = np.stack([value for value in values if value is not None])
                numbers = torch.from_numpy(given.astype(np.float32)).to(images.device)
                numbers = numbers.view(*given.shape, *[1] * (images.ndim - 2))
                images[chosen] = change(images[chosen], numbers)
        return images

    def _draw(self, random: np.random.Generator, shape: Sequence[int]) -> _Draw:
        channels, sizes = shape[0], shape[1:]
        drawn: dict[str, np.ndarray | None] = {}
        for kind, (low, high) in RANGES.items():  # drawn either way, so that a probability moves no other draw
            chance, values = random.random(), random.uniform(low, high, channels)
            drawn[kind] = values if chance < self.probabilities[kind] else None
        blur, zoom = drawn.pop("blur"), drawn.pop("low_resolution")
        smoothing = []
        if blur is not None or zoom is not None:
            for channel in range(channels):
                smoothing.append([self._matrix(axis, n, channel, blur, zoom) for axis, n in enumerate(sizes)])
        return _Draw(drawn, smoothing, int(random.integers(2**62)))

    def _matrix(
        self, axis: int, n: int, channel: int, blur: np.ndarray | None, zoom: np.ndarray | None
    ) -> np.ndarray | None:
        """Return what blur and low resolution do along one axis, as one matrix; None where nothing."""
        if n == 1:
            return None
        matrix = None if blur is None else blur_matrix(n, float(blur[channel]))
        if zoom is not None and axis != self.coarse_axis:
            low = low_resolution_matrix(n, float(zoom[channel]))
            matrix = low if matrix is None else low @ matrix
        return matrix


@dataclass(frozen=True)
class _Draw:
    """What is done to one patch.

    Attributes
    ----------
    values
        Of each kind of change one number for each channel, or None.
    smoothing
        Matrices of each channel and axis; empty for none.
    seed
        Of the noise.
    """

    values: Mapping[str, np.ndarray | None]
    smoothing: Sequence[Sequence[np.ndarray | None]]
    seed: int


def add_noise(image: torch.Tensor, sd: np.ndarray, seed: int) -> None:
    """Add normal noise of `sd`, one for each channel, to `image` (C, I, J, K) in place."""
    generator = torch.Generator(image.device).manual_seed(seed)
    noise = torch.randn(image.shape, generator=generator, device=image.device)
    image += noise * torch.from_numpy(sd.astype(np.float32)).to(image.device).view(-1, 1, 1, 1)


def along_axes(volume: torch.Tensor, matrices: Sequence[np.ndarray | None]) -> torch.Tensor:
    """Multiply each axis of a volume (I, J, K) by a matrix: blur and resampling are sums along axes."""
    first, second, third = (
        None if each is None else torch.from_numpy(each.astype(np.float32)).to(volume.device) for each in matrices
    )
    if third is not None:
        volume = volume @ third.T
    if second is not None:
        volume = second @ volume if volume.shape[2] > 1 else (volume[..., 0] @ second.T)[..., None]
    if first is not None:
        volume = (first @ volume.reshape(len(volume), -1)).view(volume.shape)
    return volume


def blur_matrix(n: int, sd_voxels: float) -> np.ndarray:
    """Return the n×n matrix of a Gaussian blur, whose weights sum to 1 at the edges too."""
    apart = np.arange(n)[:, None] - np.arange(n)[None]
    weights = np.exp(-0.5 * (apart / sd_voxels) ** 2) * (np.abs(apart) <= BLUR_REACH * sd_voxels)
    return weights / weights.sum(axis=1, keepdims=True)


def low_resolution_matrix(n: int, zoom: float) -> np.ndarray:
    """Return the n×n matrix that takes the nearest of ``zoom * n`` voxels and interpolates between them."""
    fewer = max(1, round(zoom * n))
    down = np.zeros((fewer, n))
    down[np.arange(fewer), ((np.arange(fewer) + 0.5) * n / fewer).astype(int)] = 1
    position = ((np.arange(n) + 0.5) * fewer / n - 0.5).clip(0, fewer - 1)
    lower = np.minimum(position.astype(int), max(fewer - 2, 0))
    up = np.zeros((n, fewer))
    up[np.arange(n), lower] = 1 - (position - lower)
    up[np.arange(n), np.minimum(lower + 1, fewer - 1)] += position - lower
    return up @ down


def _contrast(images: torch.Tensor, factors: torch.Tensor) -> torch.Tensor:
    """Spread intensities about their mean, within their range."""
    low, high, mean = (_per_channel(images, each) for each in (torch.amin, torch.amax, torch.mean))
    return torch.minimum(torch.maximum((images - mean) * factors + mean, low), high)


def _gamma(images: torch.Tensor, exponents: torch.Tensor) -> torch.Tensor:
    """Bend intensities within their range; mean and standard deviation are kept."""
    low, high, mean = (_per_channel(images, each) for each in (torch.amin, torch.amax, torch.mean))
    sd = _per_channel(images, torch.std)
    bent = ((images - low) / (high - low).clamp_min(1e-7)).log_().mul_(exponents).exp_()
    bent -= _per_channel(bent, torch.mean)
    return bent.mul_(sd / _per_channel(bent, torch.std).clamp_min(1e-7)).add_(mean)


def _per_channel(images: torch.Tensor, statistic: Callable[..., torch.Tensor]) -> torch.Tensor:
    return statistic(images, dim=tuple(range(2, images.ndim)), keepdim=True)


POINTWISE: Mapping[str, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]] = {
    "brightness": torch.mul,
    "contrast": _contrast,
    "inverted_gamma": lambda images, exponents: -_gamma(-images, exponents),
    "gamma": _gamma,
}
