"""Where the new voxels of one axis lie among the old ones, and their values along it: nearest, linear or cubic."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch

MODES = ("linear", "nearest", "cubic", "share")
# Of a matrix's weights, what is left out: 12 voxels away a cubic spline counts this little. Float32 is no finer
NEGLIGIBLE = 1e-7
ROWS = 64  # of a matrix multiplied at once with the columns that count for them


@dataclass(frozen=True)
class Axis:
    """Where the new voxels of one axis lie among the old: at `lower`, or `weight` of the way to the next.

    `turned` is which axis of the result it becomes. Where there is a `matrix` (new, old), it makes the new voxels
    of the old, and those of `row` take the columns `spans[row]`.
    """

    turned: int
    lower: torch.Tensor
    weight: torch.Tensor | None
    kept: bool
    matrix: torch.Tensor | None = None
    spans: np.ndarray = field(default_factory=lambda: np.zeros((0, 2), int))

    @classmethod
    def sampled(
        cls, turned: int, size: int, step: float = 1.0, flipped: bool = False, mode: str = "linear"
    ) -> Axis:
        # Rounded first, so that noise of 1e-16 does not choose between two sizes; then as MONAI, half to even.
        n = int(np.round(np.round((size - 1) / step, 6) + 1))
        position = np.minimum(np.arange(n) * step, size - 1)
        if flipped:
            position = size - 1 - position
        if step == 1.0 or size == 1 or mode == "nearest":
            lower = torch.from_numpy(np.floor(position + 0.5).astype(np.int64))
            return cls(turned, lower, None, kept=step == 1.0 and not flipped)
        nearest = np.floor(position).clip(0, size - 2)
        lower = torch.from_numpy(nearest.astype(np.int64))
        if mode == "cubic":
            matrix = cubic_weights(size, position, step)
            counts = matrix != 0
            spans = np.stack([counts.argmax(axis=1), size - counts[:, ::-1].argmax(axis=1)], axis=1)
            return cls(turned, lower, None, False, torch.from_numpy(matrix.astype(np.float32)), spans)
        weight = torch.from_numpy((position - nearest).astype(np.float32))
        return cls(turned, lower, weight, kept=False)

    def needs(self, part: slice) -> tuple[int, int]:
        """Return the first of the old voxels that those of `part` are made of, and the one after the last."""
        if self.matrix is not None:
            spans = self.spans[part]
            return int(spans[:, 0].min()), int(spans[:, 1].max())
        lower = self.lower[part]
        return int(lower.min()), int(lower.max()) + (1 if self.weight is None else 2)

    def along(self, block: torch.Tensor, dim: int, part: slice = slice(None), low: int = 0) -> torch.Tensor:
        """Return the new voxels of `part` along `dim` of a `block`, whose first old voxel there is `low`."""
        if self.matrix is not None:
            return self._multiplied(block, dim, part, low)
        lower = self.lower[part] - low if low else self.lower[part]
        values = block.index_select(dim, lower)
        if self.weight is None:
            return values
        shape = [1, 1, 1]
        shape[dim] = -1
        return torch.lerp(values, block.index_select(dim, lower + 1), self.weight[part].view(shape))

    def _multiplied(self, block: torch.Tensor, dim: int, part: slice, low: int) -> torch.Tensor:
        assert self.matrix is not None
        rows = range(len(self.matrix))[part]
        shape = list(block.shape)
        shape[dim] = len(rows)
        out = torch.empty(shape, dtype=torch.float32)
        for start in range(rows.start, rows.stop, ROWS):
            some = slice(start, min(start + ROWS, rows.stop))
            first, end = self.needs(some)
            matrix, old = self.matrix[some, first:end], block.narrow(dim, first - low, end - first)
            new = out.narrow(dim, some.start - rows.start, some.stop - some.start)
            if dim == 0:
                new.copy_((matrix @ old.flatten(1)).view(new.shape))
            else:
                new.copy_(matrix @ old if dim == 1 else old @ matrix.T)
        return out


def cubic_weights(size: int, position: np.ndarray, step: float) -> np.ndarray:
    """Return the matrix (new, old) of cubic spline interpolation along an axis, float64.

    Splines go through the old voxels, mirrored at both ends, as ``scipy.ndimage`` has them with ``order=3`` and
    ``mode="mirror"``. Where the new voxels are farther apart than the old, what they cannot show is smoothed away
    first, by a Gaussian of half of what a voxel grows, as in scikit-image's ``resize(..., anti_aliasing=True)``.

    Parameters
    ----------
    size
        Number of old voxels, two at least.
    position
        Of each new voxel, in old ones.
    step
        Between two new voxels, in old ones.
    """
    from scipy.ndimage import gaussian_filter1d, spline_filter1d

    matrix = np.eye(size)
    if step > 1:
        matrix = gaussian_filter1d(matrix, (step - 1) / 2, axis=0, mode="mirror")
    matrix = spline_filter1d(matrix, order=3, axis=0, mode="mirror")
    first = np.floor(position).astype(int) - 1
    found = np.zeros((len(position), size))
    for tap in range(4):
        away = np.abs(position - (first + tap))
        weight = np.where(away < 1, 2 / 3 - away**2 + away**3 / 2, np.maximum(2 - away, 0) ** 3 / 6)
        place = np.abs(first + tap)  # mirrored at the first voxel, then at the last
        place = (size - 1) - np.abs((size - 1) - place)
        found += weight[:, None] * matrix[np.clip(place, 0, size - 1)]
    found[np.abs(found) < NEGLIGIBLE] = 0
    return found
