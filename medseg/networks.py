"""Networks from a few plain numbers, the same for 2D and 3D."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import torch
from monai.networks.nets import UNet
from torch import nn

from medseg.errors import InputError

SMALLEST_AXIS = 4  # voxels an axis keeps at the deepest level


def unet_strides(patch_size: Sequence[int], levels: int) -> list[tuple[int, ...]]:
    """Return each level's stride per axis: halve every axis that can be halved and stay 4 voxels long.

    Raises
    ------
    InputError
        `CONFIG_BAD_VALUE`: The patch cannot be halved `levels` - 1 times along any axis.
    """
    size = list(patch_size)
    strides: list[tuple[int, ...]] = []
    for _ in range(levels - 1):
        stride = tuple(2 if n % 2 == 0 and n // 2 >= SMALLEST_AXIS else 1 for n in size)
        if max(stride) == 1:
            raise InputError(
                "CONFIG_BAD_VALUE",
                f"patch_size {list(patch_size)} has no {levels} levels: after {len(strides)} halvings no axis "
                f"of {size} is even and at least {2 * SMALLEST_AXIS}; use fewer features or a multiple of 8",
            )
        size = [n // s for n, s in zip(size, stride, strict=True)]
        strides.append(stride)
    return strides


def unet(
    *,
    spatial_dims: int,
    labels: int,
    features: Sequence[int],
    patch_size: Sequence[int],
    channels: int = 1,
    full_resolution: bool = False,
    residual_units: int = 2,
    normalization: str = "instance",
    dropout: float = 0.0,
) -> UNet:
    """Return MONAI's residual UNet (Kerfoot et al. 2018, doi:10.1007/978-3-030-12029-0_40).

    Parameters
    ----------
    spatial_dims
        2 or 3.
    labels
        Output channels, background included.
    features
        Feature channels of each level, finest first.
    patch_size
        Voxels the network sees at once; the strides follow from it.
    channels
        Input channels.
    full_resolution
        Keep the first level at the input's resolution: finer edges, about four times the work.
    residual_units
        Convolutions in a residual block; 0 for plain blocks.
    normalization
        ``"instance"`` or ``"batch"``.
    dropout
        Share of features dropped in training.

    Raises
    ------
    InputError
        `CONFIG_BAD_VALUE`: The numbers contradict each other.
    """
    if len(patch_size) != spatial_dims:
        raise InputError("CONFIG_BAD_VALUE", f"patch_size {list(patch_size)} has not {spatial_dims} axes")
    if normalization not in ("instance", "batch"):
        raise InputError("CONFIG_BAD_VALUE", f"normalization {normalization!r}: 'instance' and 'batch' are known")
    strides = unet_strides(patch_size, levels=len(features) - int(full_resolution))
    if full_resolution:
        strides = [(1,) * spatial_dims, *strides]
    return UNet(
        spatial_dims=spatial_dims,
        in_channels=channels,
        out_channels=labels,
        channels=features,
        strides=strides,
        num_res_units=residual_units,
        norm=normalization,
        dropout=dropout,
    )


class Ensemble(nn.Module):
    """The mean probabilities of several networks, each also shown the image mirrored along `mirror_axes`.

    One walk of the windows serves all of them.

    Parameters
    ----------
    members
        Networks of the same labels, such as those of five folds.
    mirror_axes
        Spatial axes, 0 to 2; every combination of them is mirrored: 2, 4 or 8 passes a member.

    Source: Isensee et al. 2021, doi:10.1038/s41592-020-01008-z.
    """

    gives_probabilities = True

    def __init__(self, members: Sequence[nn.Module], mirror_axes: Sequence[int] = ()) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        choices = [
            combination for n in range(len(mirror_axes) + 1) for combination in combinations(mirror_axes, n)
        ]
        self.mirrored = [[2 + axis for axis in axes] for axes in choices]

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        """Return probabilities (B, labels, …), float32, of `windows` (B, channels, …)."""
        total = 0
        for member in self.members:
            for axes in self.mirrored:
                total = total + member(windows.flip(axes)).float().softmax(dim=1).flip(axes)
        return total / (len(self.members) * len(self.mirrored))  # type: ignore[return-value]
