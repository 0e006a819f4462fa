"""From the scores of voxels to their labels: the best class, or the last of the regions that hold."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

Decision = Callable[..., torch.Tensor]  # from scores to labels along a dimension: `best_class` or `last_region`


def best_class(scores: torch.Tensor, *, dim: int, dtype: torch.dtype) -> torch.Tensor:
    """Return the best class; of two classes `scores` is what the second has more than the first."""
    if scores.shape[dim] == 1:
        return (scores.select(dim, 0) > 0).to(dtype)
    return scores.max(dim=dim).indices.to(dtype)  # the first of equals, by torch.max's contract


def last_region(scores: torch.Tensor, *, dim: int, dtype: torch.dtype) -> torch.Tensor:
    """Return the number, from 1, of the last channel above 0; 0 where none is."""
    numbers = torch.arange(1, scores.shape[dim] + 1, dtype=dtype, device=scores.device)
    along = [1] * scores.ndim
    along[dim] = -1
    return (scores > 0).to(dtype).mul_(numbers.view(along)).amax(dim=dim)


def codes_of_cells(labels: torch.Tensor, axes: Sequence[int], mixed_code: int) -> torch.Tensor:
    """Return the label that all corners of each cell have, else `mixed_code`; cells are voxels along other axes.

    Where all corners agree, the interpolated scores do too: a class that is best at each corner is best in any
    average of them, and the last region above 0 at each is that of the average.
    """
    for axis in axes:
        n = labels.shape[axis] - 1
        low, high = labels.narrow(axis, 0, n), labels.narrow(axis, 1, n)
        labels = torch.where(low == high, low, mixed_code)
    return labels
