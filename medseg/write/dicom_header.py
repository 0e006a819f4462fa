"""What a DICOM result takes over of its images' headers.

Nothing is invented. What the images lack stays empty, and a value that DICOM does not allow (a birth date
of 31 February) is left empty too; only name and id, which say whose result it is, are kept as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydicom import config
from pydicom.datadict import dictionary_VR
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.uid import generate_uid
from pydicom.valuerep import DA, TM, validate_value

UTF_8 = "ISO_IR 192"  # one character set for all sources (PS3.3 C.12.1.1.2)
KEPT = ("PatientName", "PatientID")
REQUIRED = (  # attributes of type 2: there, if empty (PS3.3 C.7.1.1, C.7.2.1, C.7.4.1)
    *KEPT,
    *("PatientBirthDate", "PatientSex", "StudyDate", "StudyTime"),
    *("ReferringPhysicianName", "StudyID", "AccessionNumber", "PositionReferenceIndicator"),
)
OPTIONAL = (
    *("IssuerOfPatientID", "PatientAge", "PatientSize", "PatientWeight", "StudyDescription"),
    *("PatientIdentityRemoved", "DeidentificationMethod", "DeidentificationMethodCodeSequence"),
)
LOSSY = ("LossyImageCompression", "LossyImageCompressionRatio", "LossyImageCompressionMethod")


def header_of(ds: Dataset, series_uid: str) -> Dataset:
    """Return patient, study, frame of reference and character set, as the results of `ds` have them too."""
    header = copied(ds, OPTIONAL)
    for name in REQUIRED:
        setattr(header, name, valid_or_none(ds, name))
    header.SpecificCharacterSet = UTF_8
    # The same for every result of this series, so that they stay together where the images say nothing
    header.StudyInstanceUID = ds.get("StudyInstanceUID") or generate_uid(entropy_srcs=[series_uid, "study"])
    header.FrameOfReferenceUID = ds.get("FrameOfReferenceUID") or generate_uid(entropy_srcs=[series_uid, "frame"])
    return header


def copied(ds: Dataset, names: Sequence[str]) -> Dataset:
    """Return a data set with those of the attributes that `ds` has, and that are valid."""
    values = {name: value for name in names if (value := valid_or_none(ds, name)) is not None}
    copy = Dataset()
    for name, value in values.items():
        setattr(copy, name, value)
    return copy


def valid_or_none(ds: Dataset, name: str) -> Any:
    """Return a value that DICOM allows there, else None; names become text, in whatever set they came."""
    try:
        value, vr = ds.get(name), dictionary_VR(name)
        parts = list(value) if isinstance(value, MultiValue) else [value]
        if not value:
            return None
        if vr == "SQ":
            for item in value:
                item.decode()
            return value
        if vr == "PN":
            value = str(parts[0])
        if name in KEPT:
            return value
        for part in parts:
            validate_value(vr, str(part) if vr in ("DS", "IS", "PN") else part, config.RAISE)
            {"DA": DA, "TM": TM}.get(vr, str)(part)
        return None if name == "PatientSex" and value not in ("M", "F", "O") else value
    except Exception:  # pydicom raises what the header led it to
        return None
