"""Read a study: a NIfTI file or a DICOM series becomes an array on a known grid, or is refused by name."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from monai.data import ImageReader
from monai.transforms import LoadImaged
from monai.utils import MetaKeys, SpaceKeys

from medseg.errors import InputError
from medseg.read.dicom import read_dicom
from medseg.read.nifti import is_nifti, read_nifti
from medseg.read.volume import Volume

__all__ = ["LoadStudyd", "StudyReader", "Volume", "is_nifti", "read_volume"]


logging.getLogger("monai.data.nvimgcodec_pydicom_plugin").setLevel(logging.ERROR)  # an optional decoder


def read_volume(path: str | Path) -> Volume:
    """Read the one volume at `path`, a NIfTI file or a folder that holds one DICOM series.

    Raises
    ------
    InputError
        `FILE_MISSING`, `FILE_UNREADABLE`, a `GEOMETRY_*` or a `DICOM_*` code.
    """
    path = Path(path)
    if not path.exists():
        raise InputError("FILE_MISSING", f"{path} does not exist; give a NIfTI file or a DICOM folder")
    if path.is_dir():
        return read_dicom(path)
    if is_nifti(path):
        return read_nifti(path)
    raise InputError("FILE_UNREADABLE", f"{path} is neither .nii, .nii.gz nor a folder of DICOM files")


class StudyReader(ImageReader):
    """`read_volume` as a MONAI reader: ``LoadImaged(keys, reader=StudyReader())``.

    MONAI tries its own readers where the one it was given raises; `LoadStudyd` does not.
    """

    def verify_suffix(self, filename: Any) -> bool:
        path = Path(filename if isinstance(filename, (str, Path)) else filename[0])
        return path.is_dir() or is_nifti(path)

    def read(self, data: Any, **_: Any) -> Volume:
        paths = [data] if isinstance(data, (str, Path)) else list(data)
        if len(paths) != 1:
            raise InputError("FILE_UNREADABLE", f"one path a volume is read, {len(paths)} were given")
        return read_volume(paths[0])

    def get_data(self, img: Volume) -> tuple[np.ndarray, dict]:
        meta = {
            MetaKeys.AFFINE: img.affine.copy(),
            MetaKeys.ORIGINAL_AFFINE: img.affine.copy(),
            MetaKeys.SPACE: SpaceKeys.RAS,
            MetaKeys.SPATIAL_SHAPE: np.asarray(img.array.shape),
            MetaKeys.ORIGINAL_CHANNEL_DIM: float("nan"),  # MONAI's word for "no channel axis"
        }
        return img.array, meta


class LoadStudyd(LoadImaged):
    """`LoadImaged` that reads by `read_volume` alone and lets its refusals through.

    MONAI's own would go on to its other readers, which stretch a volume over a missing slice in silence.
    """

    def __init__(self, keys: Any, allow_missing_keys: bool = False) -> None:
        with warnings.catch_warnings():  # MONAI sets up all its readers, and each misses something
            warnings.simplefilter("ignore")
            super().__init__(
                keys, reader=StudyReader(), ensure_channel_first=True, allow_missing_keys=allow_missing_keys
            )
        self._reader = StudyReader()

    def __call__(self, data: Mapping[Hashable, Any], reader: ImageReader | None = None) -> dict[Hashable, Any]:
        return super().__call__(data, reader or self._reader)
