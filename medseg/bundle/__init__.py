"""MONAI bundles: opened and run, their overrides checked, their metadata and weights read.

Labels have their names, SNOMED CT codes and colours from a bundle's metadata (`segments`).
"""

from medseg.bundle.find import bundle_folder, shipped_bundles
from medseg.bundle.metadata import META, Metadata, ignore_label_of, read_metadata, regions_of
from medseg.bundle.open import Config, NotPlain, open_config
from medseg.bundle.overrides import is_expression
from medseg.bundle.run import begin, config_in_use, config_sha256, given, root, run_bundle
from medseg.bundle.segments import ANATOMICAL_STRUCTURE, Segment, label_colours, reference_ids, segments_of
from medseg.bundle.weights import (
    check_weights,
    load_model,
    load_weights,
    own_weights,
    read_state,
    training_images,
    weight_files,
    weights_of,
    with_training_images,
)

__all__ = [
    "ANATOMICAL_STRUCTURE",
    "META",
    "Config",
    "Metadata",
    "NotPlain",
    "Segment",
    "begin",
    "bundle_folder",
    "check_weights",
    "config_in_use",
    "config_sha256",
    "given",
    "ignore_label_of",
    "is_expression",
    "label_colours",
    "load_model",
    "load_weights",
    "open_config",
    "own_weights",
    "read_metadata",
    "read_state",
    "reference_ids",
    "regions_of",
    "root",
    "run_bundle",
    "segments_of",
    "shipped_bundles",
    "training_images",
    "weight_files",
    "weights_of",
    "with_training_images",
]
