"""Random changes to preprocessed training cases, each drawn from (seed, epoch, case) alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
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
from torch.utils.data import Dataset, Sampler

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
    steps += [
        RandGaussianNoised(IMAGE, prob=0.15, std=0.1),
        RandGaussianSmoothd(IMAGE, prob=0.15, sigma_x=(0.5, 1.0), sigma_y=(0.5, 1.0), sigma_z=(0.5, 1.0)),
        RandScaleIntensityd(IMAGE, prob=0.3, factors=0.25),
        RandShiftIntensityd(IMAGE, prob=0.15, offsets=0.1),
        RandAdjustContrastd(IMAGE, prob=0.3, gamma=(0.7, 1.5), retain_stats=True),
        RandSimulateLowResolutiond(
            IMAGE, prob=0.15, zoom_range=(0.5, 1.0), upsample_mode="trilinear" if axes == 3 else "bilinear"
        ),
        ToTensord(KEYS, track_meta=False),  # the loss is faster on tensors without metadata
    ]
    return Compose(steps)


def derived_seed(*key: int) -> int:
    """Return the seed, below 2³², that follows from `key` alone."""
    return int(np.random.SeedSequence(key).generate_state(1)[0])


class AugmentedDataset(Dataset):
    """Patches of preprocessed cases; its keys are (epoch, index), as `EpochSampler` gives them.

    The randomness of a patch follows from the seed and its key, so a resumed run, or one with more loader
    processes, sees the same patches.
    """

    def __init__(self, cases: Dataset, augmentation: Compose, *, seed: int = 0, patches_per_case: int = 1) -> None:
        self.cases, self.augmentation, self.seed = cases, augmentation, seed
        self.patches_per_case = patches_per_case

    def __len__(self) -> int:
        return len(self.cases) * self.patches_per_case  # type: ignore[arg-type]

    def __getitem__(self, key: tuple[int, int]) -> dict:
        epoch, index = key
        self.augmentation.set_random_state(seed=derived_seed(self.seed, epoch, index))
        patch = self.augmentation(self.cases[index // self.patches_per_case])
        return patch[0] if isinstance(patch, list) else patch


class EpochSampler(Sampler[tuple[int, int]]):
    """Every patch of `dataset` once an epoch, in an order drawn from (seed, epoch)."""

    def __init__(self, dataset: AugmentedDataset) -> None:
        self.dataset, self.epoch = dataset, 0

    def __len__(self) -> int:
        return len(self.dataset)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        order = np.random.default_rng((self.dataset.seed, self.epoch)).permutation(len(self.dataset))
        return iter([(self.epoch, int(index)) for index in order])
