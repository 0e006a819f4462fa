"""The elements of a DICOM header that reading looks at, and their values, whatever state they are in."""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from pydicom.dataset import Dataset
from pydicom.tag import Tag

# What tells apart the volumes of one series: what always does, what does where it leaves each part whole, and
# what does only where several slices lie at one place.
STRICT = ("StudyInstanceUID", "FrameOfReferenceUID", "SOPClassUID", "SeriesNumber")
IDENTITY = (
    "StackID",
    "ImageType",
    "FrameType",
    "EchoNumbers",
    "EchoTime",
    "EffectiveEchoTime",
    "ConvolutionKernel",
    "ComplexImageComponent",
)
PHASES = (
    "TemporalPositionIdentifier",
    "TemporalPositionIndex",
    "DiffusionBValue",
    "DiffusionGradientOrientation",
    "InversionTime",
    "NominalCardiacTriggerDelayTime",
    "NominalPercentageOfCardiacPhase",
    "TriggerTime",
    "FlipAngle",
    "AcquisitionNumber",
    "FrameReferenceTime",
    "AcquisitionDateTime",
    "AcquisitionTime",
)
GROUPS = (  # functional groups, PS3.3 C.7.6.16 and those of CT, MR and PET
    *("PlanePositionSequence", "PlaneOrientationSequence", "PixelMeasuresSequence"),
    *("PixelValueTransformationSequence", "FrameContentSequence", "TemporalPositionSequence"),
    *("CTImageFrameTypeSequence", "MRImageFrameTypeSequence", "PETFrameTypeSequence"),
    *("CTReconstructionSequence", "MREchoSequence", "MRDiffusionSequence", "MRModifierSequence"),
    *("MRTimingAndRelatedParametersSequence", "CardiacSynchronizationSequence"),
)
TRAITS = (*STRICT, *IDENTITY, *PHASES)
KEYWORDS = (
    *(key for key in TRAITS if key not in ("FrameType", "StackID")),
    *("SOPInstanceUID", "SeriesInstanceUID", "SeriesDescription", "Modality"),
    *("Rows", "Columns", "NumberOfFrames", "PixelSpacing", "ImagePositionPatient", "ImageOrientationPatient"),
    *("SliceThickness", "SpacingBetweenSlices", "RescaleSlope", "RescaleIntercept", "ModalityLUTSequence"),
    *("SamplesPerPixel", "PhotometricInterpretation", "BitsAllocated", "BitsStored", "HighBit"),
    *("PixelRepresentation", "BurnedInAnnotation"),
    *("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"),
)
TAGS: list[Any] = [Tag(keyword) for keyword in KEYWORDS]


def first(levels: Sequence[Dataset], keyword: str, get: Any, *arguments: Any) -> Any:
    """Return what `get` finds at the innermost level that has the element."""
    return next((get(level, keyword, *arguments) for level in levels if keyword in level), None)


def trait(ds: Dataset, keyword: str) -> Any:
    """Return an element as it stands in the file, to be compared and no more."""
    item = ds.get_item(keyword) if keyword in ds else None
    value = getattr(item, "value", None)
    return value if isinstance(value, (bytes, type(None))) else str(value)


def text(ds: Dataset, keyword: str) -> str:
    """Return an element as text; empty where there is none that can be read."""
    try:
        value = ds.get(keyword)
        return "" if value is None else str(value).strip()
    except Exception:  # an unknown character set, or bytes that are not in it
        return ""


def numbers(ds: Dataset, keyword: str, count: int) -> tuple[float, ...] | None:
    """Return an element's `count` finite numbers, or None where that is not what it holds."""
    value: Any = getattr(ds.get_item(keyword), "value", None)
    try:
        parts = value.strip(b" \0").split(b"\\") if isinstance(value, bytes) else np.atleast_1d(value)
        found = tuple(float(part) for part in parts)
    except (TypeError, ValueError):
        return None
    return found if len(found) == count and all(map(math.isfinite, found)) else None


def integer(ds: Dataset, keyword: str, default: int) -> int:
    """Return a whole number, or `default` where the element is missing or empty."""
    value = ds.get(keyword)
    return default if value in (None, "") else int(value)


@contextmanager
def quiet() -> Iterator[None]:
    """Keep pydicom and highdicom from saying what headers hold: their warnings quote names of patients."""
    loggers = [logging.getLogger(name) for name in ("pydicom", "highdicom")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:  # a level, since it counts for the loggers below them too
            logger.setLevel(logging.CRITICAL)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
