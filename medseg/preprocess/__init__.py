"""The one definition of preprocessing: orientation, spacing, cropping, intensities (CT windows), padding."""

from medseg.preprocess.keys import IMAGE, LABEL, PRED
from medseg.preprocess.pipeline import preprocessing
from medseg.preprocess.resample import COARSE_AXIS, Resampled

__all__ = ["COARSE_AXIS", "IMAGE", "LABEL", "PRED", "Resampled", "preprocessing"]
