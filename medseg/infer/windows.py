"""Where a sliding window stops along an axis, and how much each stop counts there.

Windows stand on a grid, so where they stand is a product of three axes. So is what they count, if MONAI's lower
bound of Gaussian weights is left out: then three short vectors say what a map of the whole volume would.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import NamedTuple

import torch
import torch.nn.functional as F
from monai.data.utils import compute_importance_map

from medseg.errors import InputError

# Of a voxel's sum, what a window may give and still be left out: the network's bfloat16 result is no finer (2^-8)
NEGLIGIBLE = 2.0**-9


class Stop(NamedTuple):
    """A window's place along one axis: it starts at `start` and counts with `weights` (n,) from `first` on."""

    start: int
    first: int
    weights: torch.Tensor

    @property
    def end(self) -> int:
        return self.first + len(self.weights)


@dataclass(frozen=True)
class Windows:
    """Where windows stand over a volume.

    Attributes
    ----------
    size
        Voxels of a window, three axes.
    stops
        Of each axis, where they stop; of a volume that is padded to the window where it is smaller.
    padding_mode, padding_value
        What it is padded with, see `torch.nn.functional.pad`.
    sigma_scale
        Of each axis, the standard deviation of MONAI's Gaussian weights as a share of the window; None where the
        weights of the stops are all there are.
    """

    size: Sequence[int]
    stops: Sequence[Sequence[Stop]]
    padding_mode: str = "constant"
    padding_value: float = 0.0
    sigma_scale: Sequence[float] | None = None

    def importance_map(self) -> torch.Tensor | None:
        """Return MONAI's Gaussian weights in a window, float32 (*size,), if they are not those of the stops."""
        if self.sigma_scale is None:
            return None
        return compute_importance_map(tuple(self.size), "gaussian", list(self.sigma_scale))

    def padded(self, image: torch.Tensor) -> torch.Tensor:
        """Return an image (channels, I, J, K) no smaller than a window."""
        pads = padding(image.shape[1:], self.size)
        if any(map(any, pads)):
            widths = [width for pair in reversed(pads) for width in pair]
            value = {"value": self.padding_value} if self.padding_value else {}
            image = F.pad(image[None], widths, mode=self.padding_mode, **value)[0]
        return image

    def inside(self, shape: Sequence[int]) -> list[slice]:
        """Return where an image of this shape lies in the padded one, axis by axis."""
        pads = padding(shape, self.size)
        return [slice(low, low + n) for (low, _), n in zip(pads, shape, strict=True)]

    def sample(self, image: torch.Tensor) -> torch.Tensor | None:
        """Return the window (channels, *size) of an image nearest its middle with more than one value, if any."""
        image = self.padded(image)
        middle = [(n - window) / 2 for n, window in zip(image.shape[1:], self.size, strict=True)]

        def from_middle(place: Sequence[Stop]) -> float:
            return sum(abs(stop.start - m) for stop, m in zip(place, middle, strict=True))

        windows = (self.window(image, place) for place in sorted(product(*self.stops), key=from_middle))
        return next((window for window in windows if not is_constant(window)), None)

    def window(self, image: torch.Tensor, place: Sequence[Stop]) -> torch.Tensor:
        """Return the window (channels, *size) of a padded image at `place`, a view."""
        spans = (slice(stop.start, stop.start + n) for stop, n in zip(place, self.size, strict=True))
        return image[(slice(None), *spans)]


def is_constant(window: torch.Tensor) -> bool:
    """Whether each channel of a window (channels, I, J, K) has one value; most windows show it by two corners."""
    corner = window[:, :1, :1, :1]
    return torch.equal(corner, window[:, -1:, -1:, -1:]) and bool((window == corner).all())


def which_are_constant(windows: Sequence[torch.Tensor]) -> Iterator[bool]:
    """Yield for each window (channels, I, J, K) whether each of its channels has one value.

    A GPU is waited for once, not at each window.
    """
    if not windows or windows[0].device.type == "cpu":
        yield from map(is_constant, windows)
        return
    found = [(window == window[:, :1, :1, :1]).all() for window in windows]
    yield from torch.stack(found).tolist()


def starts(length: int, window: int, overlap: float) -> list[int]:
    """Return where windows start along an axis of `length` voxels, as MONAI's sliding window has them."""
    step = max(int(window * (1 - overlap)), 1) if window < length else window
    count = math.ceil(max(length - window, 0) / step) + 1
    return [max(min(n * step, length - window), 0) for n in range(count)]


def importance(window: int, mode: str, sigma_scale: float) -> torch.Tensor:
    """Return a window's weights (window,) along one axis, float64: ones, or a Gaussian about its middle.

    Source: Isensee et al. 2021, doi:10.1038/s41592-020-01008-z.
    """
    if mode == "constant":
        return torch.ones(window, dtype=torch.float64)
    if mode not in ("gaussian", "separable"):
        raise InputError("CONFIG_BAD_VALUE", f"mode {mode!r}: 'constant', 'gaussian' and 'separable' are known")
    distance = torch.arange(window, dtype=torch.float64) - (window - 1) / 2
    return torch.exp(-0.5 * (distance / (sigma_scale * window)) ** 2)


def stops(
    length: int, window: int, overlap: float, mode: str = "separable", sigma_scale: float = 0.125
) -> list[Stop]:
    """Return the stops along one axis; at every voxel their weights add up to 1.

    Weights that are `NEGLIGIBLE` beside the others at their voxel are left out. In the mode ``"gaussian"`` all
    weights are 1: what counts is `Windows.importance_map`, for MONAI's is no product of axes.
    """
    begins = starts(length, window, overlap)
    if mode == "gaussian":
        return [Stop(start, start, torch.ones(window)) for start in begins]
    shape = importance(window, mode, sigma_scale)
    total = torch.zeros(begins[-1] + window, dtype=torch.float64)
    for start in begins:
        total[start : start + window] += shape
    shares = [shape / total[start : start + window] for start in begins]
    kept = [(share >= NEGLIGIBLE).nonzero()[[0, -1], 0].tolist() for share in shares]
    total.zero_()
    for start, share, (low, high) in zip(begins, shares, kept, strict=True):
        total[start + low : start + high + 1] += share[low : high + 1]
    return [
        Stop(start, start + low, (share[low : high + 1] / total[start + low : start + high + 1]).float())
        for start, share, (low, high) in zip(begins, shares, kept, strict=True)
    ]


def among(stops: Sequence[Stop], span: slice) -> list[Stop]:
    """Return the stops that count within `span`, with the weights they have there."""
    found = []
    for stop in stops:
        first, end = max(stop.first, span.start), min(stop.end, span.stop)
        if first < end:
            found.append(Stop(stop.start, first, stop.weights[first - stop.first : end - stop.first]))
    return found


def adapted_size(length: int, window: int, *, largest: int) -> tuple[int, float]:
    """Return a window and overlap that cover `length` in few, equal steps, for a network that takes any size.

    The window is a multiple of what the network halves, at least `window` and at most `largest` where that is
    possible. Neighbours share a third of the `window` the network was trained with, half of what the usual overlap
    of 0.5 shares: no voxel is nearer to the border that ends its window than a sixth.
    """
    multiple = max(2**n for n in range(8) if window % 2**n == 0 and 2**n <= max(window // 4, 1))
    shared = math.ceil(window / 3)
    for count in range(1, length + 1):
        size = math.ceil((length + (count - 1) * shared) / count / multiple) * multiple
        if size <= max(largest, window):
            size = max(size, window)
            return size, shared / size
    raise AssertionError("a window of one voxel covers an axis")


def padding(shape: Sequence[int], window: Sequence[int]) -> list[tuple[int, int]]:
    """Return the voxels before and after that bring each axis of `shape` to the `window`, as MONAI pads."""
    missing = [max(w - n, 0) for n, w in zip(shape, window, strict=True)]
    return [(m // 2, m - m // 2) for m in missing]
