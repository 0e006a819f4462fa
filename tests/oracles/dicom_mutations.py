"""Random DICOM series and what can go wrong with them, each written to a folder together with the truth.

`write_case` is a pure function of its seed. It draws a valid series (every voxel another number, rows unlike
columns, oblique more often than not), applies mutations of `KINDS` to it, writes the files, and returns for
every file which values belong to which places in the patient, taken from the header as it was written. How a
reading is held against that truth stands in `dicom_judge`.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from pydicom import dcmwrite
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.tag import Tag
from pydicom.uid import (
    CTImageStorage,
    ExplicitVRLittleEndian,
    MRImageStorage,
    PositronEmissionTomographyImageStorage,
)
from scipy.spatial.transform import Rotation

from oracles.mutation_drafts import Draft, Drafts, text
from oracles.mutation_kinds import KINDS

READABLE = (  # what a reader that refuses nothing without need gives back in full
    "none",
    "anisotropic",
    "decubitus",
    "drop_end",
    "duplicate_identical",
    "file_names",
    "instance_numbers",
    "merge_other_uid",
    "multi_echo",
    "nested_folders",
    "scout_marked",
    "slope_per_slice",
)
_SCALING = (("Slope", 1), ("Intercept", 0))
CLASSES = {"CT": CTImageStorage, "MR": MRImageStorage, "PT": PositronEmissionTomographyImageStorage}


@dataclass(frozen=True)
class Instance:
    """One file as it was written.

    Attributes
    ----------
    path
        The file.
    volume
        Which volume it belongs to; slices of two volumes have no place in one array.
    values
        (rows, columns) after rescaling. Where the slope is 0, which says nothing, the stored numbers with and
        without the intercept are as right; elsewhere the three arrays are the same.
    places
        (rows, columns, 3) RAS mm of each pixel; None where the header does not say.
    """

    path: Path
    volume: str
    values: tuple[np.ndarray, ...] = field(repr=False)
    places: np.ndarray | None = field(repr=False)


@dataclass(frozen=True)
class Case:
    """A folder of mutated DICOM files, and the truth about it."""

    folder: Path
    kinds: tuple[str, ...]
    instances: tuple[Instance, ...]


def write_case(folder: Path, seed: int, kinds: Sequence[str] | None = None) -> Case:
    """Write one mutated series below `folder`, and return its truth.

    Parameters
    ----------
    folder
        An empty or new folder.
    seed
        Everything is drawn from it.
    kinds
        Names of `KINDS`, or ``("none",)``; by default one or two at random.
    """
    rng = np.random.default_rng(seed)
    if kinds is None:
        kinds = tuple(str(kind) for kind in rng.choice(list(KINDS), size=rng.integers(1, 3), replace=False))
    drafts = base_series(rng, seed)
    for kind in kinds:
        if kind != "none":
            drafts = KINDS[kind](rng, drafts)
    _name_what_is_left(drafts)
    return Case(folder, tuple(kinds), tuple(_write(folder, draft) for draft in drafts))


def base_series(rng: np.random.Generator, seed: int) -> Drafts:
    """Return a valid single-frame series of 5 to 12 slices of 8 to 16 pixels a side."""
    rows, columns = (int(n) for n in rng.choice(np.arange(8, 17), 2, replace=False))
    n_slices, modality, signed = int(rng.integers(5, 13)), str(rng.choice(list(CLASSES))), bool(rng.integers(2))
    numbers = rng.permutation(2**16)[: rows * columns * n_slices].reshape(n_slices, rows, columns)
    stored = (numbers - 2**15).astype("<i2") if signed else numbers.astype("<u2")
    turn = Rotation.random(random_state=rng).as_matrix() if rng.random() < 0.6 else _axis_aligned(rng)
    spacing_mm, step_mm = rng.uniform(0.4, 3.0, 2).round(4), round(float(rng.uniform(0.5, 8)), 3)
    origin = rng.uniform(-300, 300, 3).round(4)
    cosines = [float(text(c)) for c in turn[:2].ravel()]
    normal = np.cross(cosines[:3], cosines[3:])
    times_differ = rng.random() < 0.5
    common = {
        "SOPClassUID": CLASSES[modality],
        "StudyInstanceUID": f"1.2.3.{seed}",
        "SeriesInstanceUID": f"1.2.3.{seed}.1",
        "FrameOfReferenceUID": f"1.2.3.{seed}.9",
        "Modality": modality,
        "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"],
        "SeriesNumber": "3",
        "AcquisitionNumber": "1",
        "PatientID": "SYNTHETIC",
        "PatientPosition": "HFS",
        "ImageOrientationPatient": [text(c) for c in cosines],
        "PixelSpacing": [text(s) for s in spacing_mm],
        "SliceThickness": text(step_mm),
        "PhotometricInterpretation": "MONOCHROME2",
        "PixelRepresentation": int(signed),
    }
    common |= {"CT": {"ConvolutionKernel": "B30f"}, "MR": {"EchoTime": "30", "EchoNumbers": "1"}, "PT": {}}[
        modality
    ]
    if modality != "MR":
        common |= {"RescaleSlope": "1", "RescaleIntercept": "-1024" if modality == "CT" else "0"}
    drafts = []
    for k in range(n_slices):
        header = copy.deepcopy(common) | {
            "SOPInstanceUID": f"1.2.3.{seed}.1.{k + 1}",
            "InstanceNumber": str(k + 1),
            "AcquisitionTime": f"1200{k if times_differ else 0:02}",
            "ImagePositionPatient": [text(p) for p in origin + k * step_mm * normal],
        }
        drafts.append(Draft(header, stored[k], f"IM{k:03}"))
    return drafts


def _axis_aligned(rng: np.random.Generator) -> np.ndarray:
    axes = np.eye(3)[rng.permutation(3)] * rng.choice([-1, 1], 3)[:, None]
    return axes.astype(float)


def _name_what_is_left(drafts: Drafts) -> None:
    """Count a twin as one of its series where what it was a twin of is gone: nothing tells any more."""
    whole = {str(d.header.get("ImagePositionPatient")) for d in drafts if d.volume == "a"}
    for draft in drafts:
        if draft.volume == "twin" and str(draft.header.get("ImagePositionPatient")) not in whole:
            draft.volume = "a"


def _write(folder: Path, draft: Draft) -> Instance:
    """Write one file; decimal text goes in as it is, valid or not."""
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    rows, columns = draft.stored.shape
    layout = {"SamplesPerPixel": 1, "Rows": rows, "Columns": columns, "BitsAllocated": 16, "BitsStored": 16}
    for keyword, value in (draft.header | layout | {"HighBit": 15}).items():
        tag, vr = Tag(keyword), dictionary_VR(Tag(keyword))
        if vr in ("DS", "IS"):
            raw = "\\".join([value] if isinstance(value, str) else value).encode()
            raw += b" " * (len(raw) % 2)
            ds[tag] = RawDataElement(tag, vr, len(raw), raw, 0, False, True)
        else:
            ds[tag] = DataElement(tag, vr, value)
    ds.PixelData = draft.stored.tobytes()
    path = folder / draft.name
    path.parent.mkdir(parents=True, exist_ok=True)
    ds.file_meta.MediaStorageSOPClassUID = draft.header["SOPClassUID"]
    ds.file_meta.MediaStorageSOPInstanceUID = draft.header["SOPInstanceUID"]
    dcmwrite(path, ds, enforce_file_format=True)
    return Instance(path, draft.volume, _values(draft), _places(draft))


def _values(draft: Draft) -> tuple[np.ndarray, ...]:
    slope, intercept = (float(draft.header.get(f"Rescale{part}", start)) for part, start in _SCALING)
    values = draft.stored * slope + intercept
    return (values, draft.stored.astype(float), draft.stored + intercept) if slope == 0 else (values,) * 3


def _places(draft: Draft) -> np.ndarray | None:
    """Return where each pixel's centre lies in RAS mm (PS3.3 C.7.6.2.1.1), or None."""
    keywords = {"ImagePositionPatient": 3, "ImageOrientationPatient": 6, "PixelSpacing": 2}
    found = []
    for keyword, count in keywords.items():
        try:
            numbers = np.array([float(part) for part in draft.header[keyword]])
        except (KeyError, ValueError):
            return None
        if len(numbers) != count or not np.isfinite(numbers).all():
            return None
        found.append(numbers)
    position, cosines, spacing_mm = found
    row, column = np.indices(draft.stored.shape)
    lps = position + column[..., None] * spacing_mm[1] * cosines[:3] + row[..., None] * spacing_mm[0] * cosines[3:]
    return lps * (-1, -1, 1)
