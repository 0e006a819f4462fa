"""Results in the formats asked for, each whole or not there: NIfTI, DICOM SEG, RTSTRUCT, probabilities.

nibabel and highdicom are imported by the function that needs them. A new output format is a file here and a line
in `results`.
"""

from medseg.write.dicom_seg import SEG_TYPES, check_seg_type, write_dicom_seg
from medseg.write.nifti import write_label_map
from medseg.write.probabilities import write_probabilities
from medseg.write.results import SUFFIXES, Output, OutputFormats, check_volume, write_results
from medseg.write.rtstruct import write_rtstruct

__all__ = [
    "SEG_TYPES",
    "SUFFIXES",
    "Output",
    "OutputFormats",
    "check_seg_type",
    "check_volume",
    "write_dicom_seg",
    "write_label_map",
    "write_probabilities",
    "write_results",
    "write_rtstruct",
]
