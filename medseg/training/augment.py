"""Random changes to preprocessed training cases."""

from __future__ import annotations

from collections.abc import Sequence

from monai.transforms import (
    Compose,
    RandAdjustContrastd,
    RandAffined,
    RandCropByPosNegLabeld,
    RandFlipd,
    RandGaussianNoised,
    RandGaussianSmoothd,
    RandScaleIntensityd,
    RandShiftIntensityd,
    RandSimulateLowResolutiond,
    RandSpatialCropd,
    SelectItemsd,
    SqueezeDimd,
    ToTensord,
    Transform,
)
from monai.utils import ensure_tuple_rep

from medseg.preprocess import IMAGE, LABEL

KEYS = (IMAGE, LABEL)


def augmentation(
    *,
    patch_size: Sequence[int],
    flip_axes: Sequence[int] = (),
    rotate_rad: float | Sequence[float] = 0.3,
    scale: float = 0.2,
    shear: float = 0.1,
    foreground_patches: bool = False,
) -> Compose:
    """Return the transforms from a preprocessed case to one training patch.

    Image and label move together; labels are looked up by nearest neighbour, never interpolated.

    Parameters
    ----------
    patch_size
        Voxels of the patch: (I, J, K), or (I, J) for slices across the third axis.
    flip_axes
        Axes that may be mirrored. Leave out an axis along which anatomy is directed: a mirrored body has
        its liver on the left.
    rotate_rad, scale, shear
        Largest rotation about each axis (one number for all, or one each), relative change of size, and
        shear. Leave out a rotation that tilts what the labels define by the image's axes: where raters end a
        structure at a coronal slice, only turns about the second axis keep that end coronal.
    foreground_patches
        Centre half of the patches on labelled voxels, for structures that are small in their volumes.
    """
    axes = len(patch_size)
    crop_size = (*patch_size, 1)[:3]
    steps: list[Transform] = [SelectItemsd(KEYS)]
    if foreground_patches:
        steps.append(RandCropByPosNegLabeld(KEYS, LABEL, crop_size, num_samples=1, allow_smaller=True))
    else:
        steps.append(RandSpatialCropd(KEYS, crop_size, random_size=False))
    if axes == 2:
        steps.append(SqueezeDimd(KEYS, dim=-1))
    steps += [
        RandAffined(
            KEYS,
            prob=0.8,
            rotate_range=ensure_tuple_rep(rotate_rad, axes if axes == 3 else 1),
            scale_range=[scale] * axes,
            shear_range=[shear] * axes * (axes - 1),
            translate_range=[size * 0.1 for size in patch_size],
            spatial_size=patch_size,
            mode=("bilinear", "nearest"),
            padding_mode="zeros",
        )
    ]
    steps += [RandFlipd(KEYS, prob=0.5, spatial_axis=axis) for axis in flip_axes]
    steps += _intensity_changes(axes)
    steps.append(ToTensord(KEYS, track_meta=False))  # the loss is faster on tensors without metadata
    return Compose(steps)


def _intensity_changes(axes: int) -> list[Transform]:
    return [
        RandGaussianNoised(IMAGE, prob=0.15, std=0.1),
        RandGaussianSmoothd(IMAGE, prob=0.15, sigma_x=(0.5, 1.0), sigma_y=(0.5, 1.0), sigma_z=(0.5, 1.0)),
        RandScaleIntensityd(IMAGE, prob=0.3, factors=0.25),
        RandShiftIntensityd(IMAGE, prob=0.15, offsets=0.1),
        RandAdjustContrastd(IMAGE, prob=0.3, gamma=(0.7, 1.5), retain_stats=True),
        RandSimulateLowResolutiond(
            IMAGE, prob=0.15, zoom_range=(0.5, 1.0), upsample_mode="trilinear" if axes == 3 else "bilinear"
        ),
    ]
