"""MONAI bundles: opened and run, their overrides checked, their metadata and weights read.

Labels have their names, SNOMED CT codes and colours from a bundle's metadata (`segments`).
"""

from medseg.bundle.metadata import META, label_names, read_metadata
from medseg.bundle.open import begin, config_file, root, run_bundle
from medseg.bundle.overrides import check_overrides
from medseg.bundle.segments import ANATOMICAL_STRUCTURE, Segment, segments_of
from medseg.bundle.weights import load_model, load_weights

__all__ = [
    "ANATOMICAL_STRUCTURE",
    "META",
    "Segment",
    "begin",
    "check_overrides",
    "config_file",
    "label_names",
    "load_model",
    "load_weights",
    "read_metadata",
    "root",
    "run_bundle",
    "segments_of",
]
