"""One case's results in the formats that were asked for, and whether its volume can have them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from medseg.bundle import Metadata
from medseg.errors import InputError
from medseg.files import sha256_of
from medseg.read import Volume, is_nifti
from medseg.write.dicom_seg import check_seg_type, write_dicom_seg
from medseg.write.dicom_source import check_is_dicom
from medseg.write.nifti import write_label_map
from medseg.write.probabilities import write_probabilities
from medseg.write.rtstruct import write_rtstruct

SUFFIXES = {
    "nifti": ".nii.gz",
    "dicom-seg": ".seg.dcm",
    "rtstruct": ".rtstruct.dcm",
    "probabilities": ".probabilities.npz",
}


@dataclass(frozen=True)
class OutputFormats:
    """What is written of each case.

    Attributes
    ----------
    names
        Some of ``"nifti"``, ``"dicom-seg"``, ``"rtstruct"`` and ``"probabilities"``, without repeats.
    seg_type
        Of the DICOM SEG: ``"BINARY"`` or ``"LABELMAP"``.

    Raises
    ------
    InputError
        `CONFIG_BAD_VALUE`: a format or a type of SEG that is not written here, or no format at all.
    """

    names: Sequence[str] = ("nifti",)
    seg_type: str = "BINARY"

    def __post_init__(self) -> None:
        asked = tuple(dict.fromkeys([self.names] if isinstance(self.names, str) else self.names))
        if not asked or not set(asked) <= set(SUFFIXES):
            raise InputError(
                "CONFIG_BAD_VALUE", f"formats {list(asked)}: some of {', '.join(SUFFIXES)} are needed"
            )
        check_seg_type(self.seg_type)
        object.__setattr__(self, "names", asked)


@dataclass(frozen=True)
class Output:
    """A file that was written.

    Attributes
    ----------
    path
        Its name in the output folder.
    format
        One of `SUFFIXES`.
    sha256
        Of its bytes.
    seg_type
        Of a DICOM SEG.
    """

    path: str
    format: str
    sha256: str
    seg_type: str | None = None

    @classmethod
    def from_json(cls, value: Any) -> Output | None:
        """Return a file as a manifest describes it, whatever else a later version says of it; None for no file."""
        known = {"format": "nifti", **value} if isinstance(value, dict) else {}
        path, name, digest = (known.get(key) for key in ("path", "format", "sha256"))
        if not (isinstance(path, str) and isinstance(name, str) and isinstance(digest, str)):
            return None
        return cls(path, name, digest, known.get("seg_type"))

    def as_json(self) -> dict[str, str]:
        seg_type = {} if self.seg_type is None else {"seg_type": self.seg_type}
        return {"path": self.path, "format": self.format, **seg_type, "sha256": self.sha256}


def check_volume(volume: Volume, *, spatial_dims: int, formats: Sequence[str]) -> None:
    """Refuse a volume that the model or a format cannot have, before time is spent on it.

    Raises
    ------
    InputError
        `GEOMETRY_SINGLE_SLICE`, `FORMAT_NEEDS_DICOM`.
    """
    if spatial_dims == 3 and 1 in volume.array.shape:
        raise InputError(
            "GEOMETRY_SINGLE_SLICE",
            f"the volume has {'×'.join(map(str, volume.array.shape))} voxels, and a 3D model needs more than one "
            "slice; give the whole series, or use a 2D model",
        )
    if set(formats) & {"dicom-seg", "rtstruct"}:
        check_is_dicom(volume)


def write_results(
    stem: str | Path,
    labels: np.ndarray,
    volume: Volume,
    *,
    metadata: Metadata,
    formats: OutputFormats,
    probabilities: tuple[Mapping[int, Any], np.ndarray] | None = None,
) -> tuple[Output, ...]:
    """Write a label map (I, J, K) to ``<stem>.nii.gz``, ``.seg.dcm``, ``.rtstruct.dcm``, as asked.

    Parameters
    ----------
    stem
        Folder and case id.
    volume
        What the labels are of; its voxels are not needed.
    metadata
        The bundle's.
    probabilities
        For ``.probabilities.npz``: crops and their grid's affine, see `medseg.infer.confidence`.
    """
    outputs = []
    for name in formats.names:
        path = Path(f"{stem}{SUFFIXES[name]}")
        if name == "nifti":
            like = volume.source[0] if volume.source and is_nifti(volume.source[0]) else None
            write_label_map(path, labels, volume.affine, like=like)
        elif name == "dicom-seg":
            write_dicom_seg(path, labels, volume, metadata, seg_type=formats.seg_type)
        elif name == "rtstruct":
            write_rtstruct(path, labels, volume, metadata)
        else:
            write_probabilities(path, *(probabilities or ({}, np.eye(4))))
        seg_type = formats.seg_type if name == "dicom-seg" else None
        outputs.append(Output(path.name, name, sha256_of(path), seg_type))
    return tuple(outputs)
