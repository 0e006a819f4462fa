"""Reading as MONAI's transforms want it."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import ImageReader, MetaTensor
from monai.transforms import MapTransform
from monai.utils import MetaKeys, SpaceKeys
from numpy.typing import DTypeLike

from medseg.read.formats import is_readable
from medseg.read.grid import check_count
from medseg.read.study import read_volume
from medseg.read.volume import Volume


class StudyReader(ImageReader):
    """`read_volume` as a MONAI reader: ``LoadImaged(keys, reader=StudyReader())``.

    MONAI tries its own readers where the one it was given raises; `LoadStudyd` does not.

    Parameters
    ----------
    select
        ``series_uid``, ``description``, ``modality``, ``repair`` or ``channels``, as in `read_volume`.
    """

    def __init__(self, **select: Any) -> None:
        self.select = select

    def verify_suffix(self, filename: Any) -> bool:
        path = Path(filename if isinstance(filename, (str, Path)) else filename[0])
        return path.is_dir() or is_readable(path)

    def read(self, data: Any, **_: Any) -> Volume:
        return read_volume(data, **self.select)

    def get_data(self, img: Volume) -> tuple[np.ndarray, dict]:
        meta = {
            MetaKeys.AFFINE: img.affine.copy(),
            MetaKeys.ORIGINAL_AFFINE: img.affine.copy(),
            MetaKeys.SPACE: SpaceKeys.RAS,
            MetaKeys.SPATIAL_SHAPE: np.asarray(img.array.shape),
            MetaKeys.ORIGINAL_CHANNEL_DIM: float("nan"),  # MONAI's word for "no channel axis"
        }
        if not img.further:
            return img.array, meta
        return _stacked(img.channels), {**meta, MetaKeys.ORIGINAL_CHANNEL_DIM: 0}


def _stacked(channels: Sequence[np.ndarray]) -> np.ndarray:
    """Return channels as (C, I, J, K), in one type that holds them; each lies in memory as the first does."""
    first = channels[0]
    types = {channel.dtype for channel in channels}
    dtype = types.pop() if len(types) == 1 else np.dtype(np.float32)
    fortran = first.flags.f_contiguous and not first.flags.c_contiguous
    stacked = np.empty((len(channels), *(first.shape[::-1] if fortran else first.shape)), dtype)
    stacked = stacked.transpose(0, 3, 2, 1) if fortran else stacked
    for target, channel in zip(stacked, channels, strict=True):
        target[...] = channel
    return stacked


class LoadStudyd(MapTransform):
    """A path or list of paths, or a `Volume` that was read before, to a `MetaTensor` (channels, I, J, K).

    As ``LoadImaged`` with `StudyReader` and nothing else: MONAI's own goes on to its other readers when the
    given one refuses, and those stretch a volume over a missing slice in silence.

    Parameters
    ----------
    dtype
        Of the tensor, contiguous. None gives the voxels as they were read, of their own type and order in memory,
        without a copy.
    select
        ``series_uid``, ``description``, ``modality``, ``repair`` or ``channels``, as in `read_volume`.
    """

    def __init__(
        self,
        keys: KeysCollection,
        allow_missing_keys: bool = False,
        dtype: DTypeLike | None = np.float32,
        **select: Any,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.dtype = dtype
        self.channels = select.setdefault("channels", 1)
        self.reader = StudyReader(**select)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        out = dict(data)
        for key in self.key_iterator(out):
            volume = out[key] if isinstance(out[key], Volume) else self.reader.read(out[key])
            check_count(len(volume.channels), self.channels, volume.name)
            array, meta = self.reader.get_data(volume)
            if self.dtype is not None:
                array = np.ascontiguousarray(array, dtype=self.dtype)
            elif min(array.strides) <= 0 or not array.flags.writeable:  # a caller's own volume; torch has neither
                array = array.copy(order="K")
            voxels = torch.from_numpy(array)
            voxels = voxels if volume.further else voxels[None]
            source = str(volume.source[0]) if volume.source else ""
            meta |= {MetaKeys.ORIGINAL_CHANNEL_DIM: 0, "filename_or_obj": source}
            meta["codes"] = " ".join(volume.codes)  # one string, which MONAI can collate
            out[key] = MetaTensor(voxels, meta=meta)
        return out
