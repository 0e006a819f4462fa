"""Several networks, and mirrored images, as one network."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import torch
from torch import nn

CERTAIN = 1e-6  # a mean probability this near to 0 or 1 is given as this near, since its logit is finite


class Ensemble(nn.Module):
    """The mean probabilities of several networks, each also shown the image mirrored along `mirror_axes`.

    One walk of the windows serves all of them.

    Parameters
    ----------
    members
        Networks of the same labels, such as those of five folds.
    mirror_axes
        Spatial axes, 0 to 2; every combination of them is mirrored: 2, 4 or 8 passes a member.
    overlapping
        Channels are regions of their own: means are of sigmoids, and given as logits, as one network gives them.

    Source: Isensee et al. 2021, doi:10.1038/s41592-020-01008-z.
    """

    def __init__(
        self, members: Sequence[nn.Module], mirror_axes: Sequence[int] = (), overlapping: bool = False
    ) -> None:
        super().__init__()
        self.overlapping, self.gives_probabilities = overlapping, not overlapping
        self.members = nn.ModuleList(members)
        choices = [
            combination for n in range(len(mirror_axes) + 1) for combination in combinations(mirror_axes, n)
        ]
        self.mirrored = [[2 + axis for axis in axes] for axes in choices]

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        """Return probabilities (B, labels, …), float32, of `windows` (B, channels, …), or logits of regions."""
        total: Any = 0
        for member in self.members:
            for axes in self.mirrored:
                scores = member(windows.flip(axes)).float()
                found = scores.sigmoid() if self.overlapping else scores.softmax(dim=1)
                total = total + found.flip(axes)
        mean = total / (len(self.members) * len(self.mirrored))
        return mean.logit(eps=CERTAIN) if self.overlapping else mean
