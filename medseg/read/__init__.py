"""Read a study: NIfTI, DICOM, NRRD or MetaImage become arrays on known grids, or are refused by name.

`scan` says what is there by headers alone, `read_study` reads all of it, `read_volume` the one volume that is
meant, and `LoadStudyd` does the latter as a MONAI transform.
"""

from __future__ import annotations

import logging
from importlib import import_module
from typing import TYPE_CHECKING, Any

from medseg.read.dicom_header import looks_like_dicom
from medseg.read.nifti import is_nifti
from medseg.read.study import is_readable, read_study, read_volume, scan
from medseg.read.volume import Finding, Volume

if TYPE_CHECKING:
    from medseg.read.monai_reader import LoadStudyd, StudyReader

__all__ = [
    "Finding",
    "LoadStudyd",
    "StudyReader",
    "Volume",
    "is_nifti",
    "is_readable",
    "looks_like_dicom",
    "read_study",
    "read_volume",
    "scan",
]

logging.getLogger("monai.data.nvimgcodec_pydicom_plugin").setLevel(logging.ERROR)  # an optional decoder


def __getattr__(name: str) -> Any:
    """Import MONAI, which takes seconds, only for those who read by it."""
    if name in ("LoadStudyd", "StudyReader"):
        return getattr(import_module("medseg.read.monai_reader"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
