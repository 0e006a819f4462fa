"""One case's results in the formats that were asked for, and whether its volume can have them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from medseg.errors import InputError
from medseg.files import sha256_of
from medseg.read import Volume, is_nifti
from medseg.write.dicom_seg import check_seg_type, write_dicom_seg
from medseg.write.dicom_source import check_is_dicom
from medseg.write.nifti import write_label_map
from medseg.write.rtstruct import write_rtstruct

SUFFIXES = {
    "nifti": ".nii.gz",
    "dicom-seg": ".seg.dcm",
    "rtstruct": ".rtstruct.dcm",
    "probabilities": ".probabilities.npz",
}


def check_formats(formats: str | Sequence[str], seg_type: str = "BINARY") -> tuple[str, ...]:
    """Return the formats without repeats, or refuse the call.

    Raises
    ------
    InputError
        `CONFIG_BAD_VALUE`: a format or a type of SEG that is not written here, or no format at all.
    """
    asked = tuple(dict.fromkeys([formats] if isinstance(formats, str) else formats))
    if not asked or not set(asked) <= set(SUFFIXES):
        raise InputError("CONFIG_BAD_VALUE", f"formats {list(asked)}: some of {', '.join(SUFFIXES)} are needed")
    check_seg_type(seg_type)
    return asked


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
    folder: str | Path,
    case_id: str,
    labels: np.ndarray,
    volume: Volume,
    *,
    metadata: Mapping[str, Any],
    formats: Sequence[str] = ("nifti",),
    seg_type: str = "BINARY",
    probabilities: tuple[Mapping[int, Any], np.ndarray] | None = None,
) -> list[dict[str, str]]:
    """Write a label map (I, J, K) to ``<case_id>.nii.gz``, ``.seg.dcm``, ``.rtstruct.dcm``, as asked.

    ``.probabilities.npz`` has `probabilities`, crops and their grid's affine, see `medseg.infer.confidence`.

    Returns
    -------
    list of dict
        Of each file ``path`` (its name), ``sha256``, ``format``, and for DICOM SEG ``seg_type``.
    """
    outputs = []
    for name in formats:
        path = Path(folder) / f"{case_id}{SUFFIXES[name]}"
        output = {"path": path.name, "format": name}
        if name == "nifti":
            like = volume.source[0] if volume.source and is_nifti(volume.source[0]) else None
            write_label_map(path, labels, volume.affine, like=like)
        elif name == "dicom-seg":
            write_dicom_seg(path, labels, volume, metadata, seg_type=seg_type)
            output["seg_type"] = seg_type
        elif name == "probabilities":
            from medseg.write.probabilities import write_probabilities

            write_probabilities(path, *(probabilities or ({}, np.eye(4))))
        else:
            write_rtstruct(path, labels, volume, metadata)
        outputs.append({**output, "sha256": sha256_of(path)})
    return outputs
