"""Write results so that a file is there whole or not at all: NIfTI, DICOM SEG, RTSTRUCT, JSON, CSV, weights.

nibabel, torch and highdicom are imported by the function that needs them.
"""

from medseg.write.dicom_seg import SEG_TYPES, write_dicom_seg
from medseg.write.files import (
    append_line,
    atomic,
    sha256_of,
    write_csv,
    write_json,
    write_text,
    write_torch,
)
from medseg.write.nifti import write_label_map
from medseg.write.rtstruct import write_rtstruct

__all__ = [
    "SEG_TYPES",
    "append_line",
    "atomic",
    "sha256_of",
    "write_csv",
    "write_dicom_seg",
    "write_json",
    "write_label_map",
    "write_rtstruct",
    "write_text",
    "write_torch",
]
