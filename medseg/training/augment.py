"""Random changes of preprocessed training cases: from a case to a patch in one look-up, then the intensities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from medseg.errors import InputError
from medseg.preprocess import IMAGE, LABEL
from medseg.training.intensity_changes import Intensities
from medseg.training.patch_places import Spatial, draw_voxel, labelled_voxels, thin_axis
from medseg.training.patch_sampling import sample_patch

FOREGROUND = "foreground"  # of a case: the labelled voxels that patches are centred on
FOREGROUND_SHARE = 1 / 3
# nnU-Net's (Isensee et al. 2021, doi:10.1038/s41592-020-01008-z); elastic deformation is off by its size
PROBABILITIES = {
    **{"rotate": 0.2, "scale": 0.2, "elastic": 0.2, "noise": 0.1, "blur": 0.2, "brightness": 0.15},
    **{"contrast": 0.15, "low_resolution": 0.25, "gamma": 0.3, "inverted_gamma": 0.1},
}
INTERPOLATION = ((IMAGE, "bilinear"), (LABEL, "nearest"))


@dataclass(frozen=True)
class Augmentation:
    """From preprocessed cases to a batch of training patches; made by `augmentation`.

    Attributes
    ----------
    spatial, intensities
        What is drawn.
    foreground_share
        Share of the patches that are centred on a labelled voxel.
    flat
        Whether patches are slices, without a third axis.
    """

    spatial: Spatial
    intensities: Intensities
    foreground_share: float
    flat: bool

    def patches(
        self,
        cases: Sequence[Mapping[str, Any]],
        randoms: Sequence[np.random.Generator],
        device: torch.device,
        *,
        centred: Sequence[bool] | None = None,
    ) -> dict[str, torch.Tensor]:
        """Return a patch of each case as ``image`` and ``label`` (B, C, …), float32, on `device`.

        Parameters
        ----------
        cases
            Each with ``image`` (C, I, J, K), ``label`` (1, I, J, K), and perhaps ``foreground``, the
            `labelled_voxels` of the label.
        randoms
            One for each, all that its patch is drawn from.
        centred
            Which patches are centred on a labelled voxel; by default by chance.
        """
        found = []
        for place, (case, random) in enumerate(zip(cases, randoms, strict=True)):
            by_chance = random.random() < self.foreground_share
            found.append(self._patch(case, random, device, by_chance if centred is None else centred[place]))
        image, label = (torch.stack(each) for each in zip(*found, strict=True))
        image = self.intensities.change(image, randoms)
        return {IMAGE: image[..., 0] if self.flat else image, LABEL: label[..., 0] if self.flat else label}

    def _patch(
        self, case: Mapping[str, Any], random: np.random.Generator, device: torch.device, centred: bool
    ) -> list[torch.Tensor]:
        volumes = [(_plain(case[key]), mode) for key, mode in INTERPOLATION]
        shape = volumes[0][0].shape[1:]
        voxel = None
        if centred:
            voxels = case[FOREGROUND] if FOREGROUND in case else labelled_voxels(_plain(case[LABEL]))
            voxel = draw_voxel(voxels, shape, random)
        place = self.spatial.draw(shape, voxel, random)
        return sample_patch(volumes, self.spatial.patch_size, place, device)


def augmentation(
    *,
    patch_size: Sequence[int],
    flip_axes: Sequence[int] = (),
    rotate_rad: float | Sequence[float] = 0.3,
    scale: float | Sequence[float] = 0.2,
    shear: float = 0.1,
    shift: float = 0.1,
    elastic_voxels: float = 0.0,
    probabilities: Mapping[str, float] | None = None,
    foreground_patches: bool = False,
    foreground_share: float | None = None,
    coarse_axis: int | None = None,
) -> Augmentation:
    """Return what turns preprocessed cases into training patches.

    Image and label are looked up in the case itself, once, by one affine map: what a turned patch sees beyond its
    corners is there, and only outside of the image are zeros. Labels are looked up by nearest neighbour.

    Parameters
    ----------
    patch_size
        Voxels of the patch: (I, J, K), or (I, J) for slices across the third axis.
    flip_axes
        Axes that may be mirrored. Leave out an axis along which anatomy is directed: a mirrored body has
        its liver on the left.
    rotate_rad, scale, shear
        Largest rotation about each axis (one number for all, or one each), relative change of size (one number, or
        the smallest and largest factor), and shear. Leave out a rotation that tilts what the labels define by the
        image's axes: where raters end a structure at a coronal slice, only turns about the second axis keep that
        end coronal.
    shift
        How far beyond the image's border a patch may begin, as a share of the patch; an image no larger than the
        patch moves so far within it.
    elastic_voxels
        Largest displacement of a coarse elastic deformation.
    probabilities
        Of each kind of change; what is left out is as in `PROBABILITIES`.
    foreground_patches, foreground_share
        Share of the patches that are centred on a voxel of a class drawn among those of the case; by default
        a third, or half of them with `foreground_patches`.
    coarse_axis
        An axis across which slices are thick: nothing is turned or scaled across it. A patch that is thin along an
        axis is treated so too.

    Raises
    ------
    InputError
        `CONFIG_BAD_VALUE`: a number of a kind that is not allowed, or a change that is not known.
    """
    size = (*patch_size, 1)[:3]
    flat = len(patch_size) == 2
    coarse = thin_axis(size) if coarse_axis is None or flat else coarse_axis
    chances = PROBABILITIES | dict(probabilities or {})
    if unknown := set(chances) - set(PROBABILITIES):
        raise InputError(
            "CONFIG_BAD_VALUE", f"probabilities: no {sorted(unknown)}; {', '.join(PROBABILITIES)} are known"
        )
    if foreground_share is None:
        foreground_share = 0.5 if foreground_patches else FOREGROUND_SHARE
    spatial = Spatial(
        patch_size=size,
        flip_axes=tuple(flip_axes),
        rotate_rad=_angles(rotate_rad, flat),
        scale=_factors(scale),
        shear=shear,
        shift=shift,
        elastic_voxels=elastic_voxels,
        probabilities={kind: chances.pop(kind) for kind in ("rotate", "scale", "elastic")},
        moved_axes=tuple(axis for axis in range(3) if axis != coarse and size[axis] > 1),
    )
    return Augmentation(spatial, Intensities(chances, coarse), foreground_share, flat)


def _angles(rotate_rad: float | Sequence[float], flat: bool) -> tuple[float, ...]:
    angles = [rotate_rad] * 3 if isinstance(rotate_rad, (int, float)) else list(rotate_rad)
    if flat:
        angles = [0.0, 0.0, angles[-1]]
    if len(angles) != 3:
        raise InputError(
            "CONFIG_BAD_VALUE", f"rotate_rad {rotate_rad}: give one angle, or one about each of three axes"
        )
    return tuple(angles)


def _factors(scale: float | Sequence[float]) -> tuple[float, float]:
    low, high = (1 - scale, 1 + scale) if isinstance(scale, (int, float)) else scale
    if not 0 < low <= 1 <= high:
        raise InputError(
            "CONFIG_BAD_VALUE",
            f"scale {scale}: give a change below 1, or the smallest (at most 1) and the largest factor",
        )
    return float(low), float(high)


def _plain(volume: torch.Tensor) -> torch.Tensor:
    """Return a MetaTensor's tensor: its bookkeeping costs more than the cut."""
    return volume.as_tensor() if hasattr(volume, "as_tensor") else volume
