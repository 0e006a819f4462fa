"""MONAI's residual UNet from a few plain numbers, the same for 2D and 3D."""

from __future__ import annotations

from collections.abc import Sequence

from monai.networks.nets import UNet

from medseg.errors import InputError

ACTIVATIONS = {"prelu": "PRELU", "leakyrelu": ("leakyrelu", {"negative_slope": 0.01, "inplace": True})}
SMALLEST_AXIS = 4  # voxels an axis keeps at the deepest level


def halvings(patch_size: Sequence[int]) -> list[tuple[int, ...]]:
    """Return the strides that halve every axis that is even and stays 4 voxels long, until none does."""
    size = list(patch_size)
    strides: list[tuple[int, ...]] = []
    while True:
        stride = tuple(2 if n % 2 == 0 and n // 2 >= SMALLEST_AXIS else 1 for n in size)
        if max(stride) == 1:
            return strides
        size = [n // s for n, s in zip(size, stride, strict=True)]
        strides.append(stride)


def unet_strides(patch_size: Sequence[int], levels: int) -> list[tuple[int, ...]]:
    """Return each level's stride per axis: halve every axis that can be halved and stay 4 voxels long.

    Raises
    ------
    InputError
        `CONFIG_BAD_VALUE`: The patch cannot be halved `levels` - 1 times along any axis.
    """
    strides = halvings(patch_size)
    if len(strides) < levels - 1:
        raise InputError(
            "CONFIG_BAD_VALUE",
            f"patch_size {list(patch_size)} has no {levels} levels: after {len(strides)} halvings no axis is even "
            f"and at least {2 * SMALLEST_AXIS}; use fewer features or a multiple of 8",
        )
    return strides[: levels - 1]


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
    activation: str = "prelu",
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
    activation
        ``"prelu"``, or ``"leakyrelu"`` (a slope of 0.01), whose backward pass is a fraction of PReLU's.
    dropout
        Share of features dropped in training.

    Raises
    ------
    InputError
        `CONFIG_BAD_VALUE`: The numbers contradict each other.
    """
    if len(patch_size) != spatial_dims:
        raise InputError("CONFIG_BAD_VALUE", f"patch_size {list(patch_size)} needs {spatial_dims} axes")
    if normalization not in ("instance", "batch"):
        raise InputError("CONFIG_BAD_VALUE", f"normalization {normalization!r}: 'instance' and 'batch' are known")
    if activation not in ACTIVATIONS:
        raise InputError("CONFIG_BAD_VALUE", f"activation {activation!r}: {', '.join(ACTIVATIONS)} are known")
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
        act=ACTIVATIONS[activation],
        norm=normalization,
        dropout=dropout,
    )
