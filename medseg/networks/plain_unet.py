"""nnU-Net's plain UNet as MONAI has it, with kernels and strides of each level, trained at several resolutions."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from monai.networks.nets import DynUNet

from medseg.errors import InputError
from medseg.networks.residual_unet import unet_strides


class PlainUNet(DynUNet):
    """MONAI's `DynUNet`; while it is trained it returns a list, the output and those of coarser levels.

    Each is of its own resolution: MONAI's are enlarged to the finest one, which costs time and adds nothing. For
    prediction there is one tensor.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor | list[torch.Tensor]:
        scores = self.output_block(self.skip_layers(x))
        if self.training and self.deep_supervision:
            coarser = list(self.heads)
            self.heads[:] = [torch.empty(0)] * len(coarser)  # what holds a graph cannot be copied
            return [scores, *coarser]
        return scores


def dynunet(
    *,
    spatial_dims: int,
    labels: int,
    features: Sequence[int],
    patch_size: Sequence[int],
    channels: int = 1,
    kernels: Sequence[Sequence[int]] | None = None,
    strides: Sequence[Sequence[int]] | None = None,
    deep_supervision: bool = True,
    dropout: float = 0.0,
) -> PlainUNet:
    """Return nnU-Net's plain UNet (Isensee et al. 2021, doi:10.1038/s41592-020-01008-z): two convolutions a level.

    Parameters
    ----------
    spatial_dims
        2 or 3.
    labels
        Output channels.
    features
        Feature channels of each level, finest first; at least three.
    patch_size
        Voxels the network sees at once; the strides follow from it where they are not given.
    channels
        Input channels.
    kernels
        Size of the convolutions of each level along each axis; by default 3.
    strides
        Of each level along each axis, 1 for the first one.
    deep_supervision
        Train the coarser levels, all but the two coarsest, by outputs of their own.
    dropout
        Share of features dropped in training.

    Raises
    ------
    InputError
        `CONFIG_BAD_VALUE`: The numbers contradict each other.
    """
    levels = len(features)
    if len(patch_size) != spatial_dims:
        raise InputError("CONFIG_BAD_VALUE", f"patch_size {list(patch_size)} needs {spatial_dims} axes")
    kernels = kernels or [[3] * spatial_dims] * levels
    strides = strides or [(1,) * spatial_dims, *unet_strides(patch_size, levels)]
    if levels < 3 or not len(kernels) == len(strides) == levels:
        raise InputError(
            "CONFIG_BAD_VALUE",
            f"network: {levels} features, {len(kernels)} kernels, {len(strides)} strides; give as many of each, "
            "one for each level, of which there are at least 3",
        )
    for name, each in [("kernels", kernels), ("strides", strides)]:
        if any(len(level) != spatial_dims for level in each):
            raise InputError("CONFIG_BAD_VALUE", f"network: {name} {each}: give {spatial_dims} numbers a level")
    heads = levels - 3  # of n - 1 outputs the coarsest has no weight, and the finest is the network's own
    return PlainUNet(
        spatial_dims=spatial_dims,
        in_channels=channels,
        out_channels=labels,
        kernel_size=[list(level) for level in kernels],
        strides=[list(level) for level in strides],
        upsample_kernel_size=[list(level) for level in strides[1:]],
        filters=list(features),
        dropout=dropout or None,
        deep_supervision=deep_supervision and heads > 0,
        deep_supr_num=max(heads, 1),
    )
