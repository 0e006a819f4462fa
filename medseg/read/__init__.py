"""Read a study: NIfTI, DICOM, NRRD or MetaImage become arrays on known grids, or are refused by name.

`scan` says what is there by headers alone, `read_study` reads all of it, `read_volume` the one volume that is
meant, and `LoadStudyd` does the latter as a MONAI transform. A new file format is a file here and a line in
`formats`.
"""

import logging
from typing import TYPE_CHECKING

from medseg.lazy import lazy_names
from medseg.read.arrays import checked, volume_of_array
from medseg.read.channels import check_channel_grid, joined
from medseg.read.dicom import walk
from medseg.read.dicom_header import looks_like_dicom
from medseg.read.dicom_values import quiet
from medseg.read.fingerprint import UNLIKE_TRAINING, TrainingImages, compared, fingerprint, in_words
from medseg.read.formats import is_readable
from medseg.read.grid import check_count
from medseg.read.nifti import is_nifti, read_nifti
from medseg.read.repair import REPAIRS, Repair
from medseg.read.selection import Selection
from medseg.read.study import Paths, files_of, read_study, read_volume, scan
from medseg.read.volume import Finding, Volume

if TYPE_CHECKING:
    from medseg.read.monai_reader import LoadStudyd, StudyReader

__all__ = [
    "REPAIRS",
    "UNLIKE_TRAINING",
    "Finding",
    "LoadStudyd",
    "Paths",
    "Repair",
    "Selection",
    "StudyReader",
    "TrainingImages",
    "Volume",
    "check_channel_grid",
    "check_count",
    "checked",
    "compared",
    "files_of",
    "fingerprint",
    "in_words",
    "is_nifti",
    "is_readable",
    "joined",
    "looks_like_dicom",
    "quiet",
    "read_nifti",
    "read_study",
    "read_volume",
    "scan",
    "volume_of_array",
    "walk",
]
__getattr__ = lazy_names(__name__, dict.fromkeys(("LoadStudyd", "StudyReader"), "monai_reader"))

logging.getLogger("monai.data.nvimgcodec_pydicom_plugin").setLevel(logging.ERROR)  # an optional decoder
