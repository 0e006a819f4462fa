"""The images that a volume was read from: what refers to each slice, and where it lies."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.dataset import Dataset

from medseg.errors import InputError
from medseg.geometry import lps_to_ras, to_world
from medseg.read import Volume
from medseg.write.dicom_header import LOSSY, OPTIONAL, REQUIRED, copied, header_of, valid_or_none

GROUP_OF = {
    "ImagePositionPatient": "PlanePositionSequence",
    "ImageOrientationPatient": "PlaneOrientationSequence",
    "PixelSpacing": "PixelMeasuresSequence",
}
READ = (
    *REQUIRED,
    *OPTIONAL,
    *GROUP_OF,
    *("SpecificCharacterSet", "SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"),
    *("FrameOfReferenceUID", "SliceThickness"),
    *LOSSY,
    *("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"),
)
OFF_GRID_MM = 0.2  # how far a slice may lie from where reading put it; reading tolerates half of that


@dataclass(frozen=True)
class Slice:
    """One source slice: what refers to it, and where its first pixel's centre lies, in LPS mm."""

    sop_class_uid: str
    sop_instance_uid: str
    frame: int | None
    position_mm: tuple[Any, ...]

    def reference(self) -> Dataset:
        """Return the item of a sequence that refers to this slice (PS3.3 table 10-3)."""
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = self.sop_class_uid, self.sop_instance_uid
        if self.frame is not None:
            item.ReferencedFrameNumber = self.frame
        return item


@dataclass(frozen=True)
class Source:
    """The images of a volume, in the order of its slices.

    `header` holds what is the same in a result: patient, study, frame of reference, character set. `image`
    holds what a result with voxels has of them besides. `orientation` are the cosines along a row and along a
    column, LPS; `pixel_spacing_mm` the steps between rows and between columns.
    """

    header: Dataset
    image: Dataset
    series_uid: str
    orientation: tuple[Any, ...]
    pixel_spacing_mm: tuple[Any, ...]
    slices: tuple[Slice, ...]

    def instance_references(self) -> list[Dataset]:
        """Return one reference to each source file, without frame numbers."""
        ends = {
            piece.sop_instance_uid: Slice(piece.sop_class_uid, piece.sop_instance_uid, None, ())
            for piece in self.slices
        }
        return [end.reference() for end in ends.values()]

    def to_lps_mm(self, k: int, points: np.ndarray) -> np.ndarray:
        """Return points (n, 2), given as (column, row) of slice `k`, as LPS mm (n, 3): PS3.3 C.7.6.2.1.1."""
        row, column = np.asarray(self.orientation, float).reshape(2, 3)
        between_rows, between_columns = (float(mm) for mm in self.pixel_spacing_mm)
        origin = np.asarray(self.slices[k].position_mm, float)
        return origin + points[:, :1] * row * between_columns + points[:, 1:] * column * between_rows


def read_source(volume: Volume, labels: np.ndarray) -> Source:
    """Return what results made of `volume` take over, after checking that `labels` lie on its grid.

    Raises
    ------
    InputError
        `FORMAT_NEEDS_DICOM`: the volume is of no DICOM series. `GEOMETRY_LABEL_GRID`: the labels have another
        shape, or the files no longer lie where they were read.
    """
    check_is_dicom(volume)
    if labels.shape != volume.array.shape:
        raise _off_grid(f"labels have shape {labels.shape}, the volume {volume.array.shape}")
    starts = _starts(volume)
    by_path = {path: _read_header(path) for path in dict.fromkeys(volume.source)}
    headers = [by_path[path] for path in volume.source]
    frames = volume.frames or (None,) * len(headers)
    if len(headers) == 1:
        headers *= len(frames)
    if not len(headers) == len(frames) == len(starts):
        raise _off_grid(f"{len(starts)} slices come from {len(volume.source)} files and {len(frames)} frames")
    slices = [_slice(header, frame) for header, frame in zip(headers, frames, strict=True)]
    first, number = headers[0], slices[0].frame
    source = Source(
        header=header_of(first, volume.series_uid),
        image=_image(first, number, volume),
        series_uid=str(first.get("SeriesInstanceUID") or volume.series_uid),
        orientation=tuple(_place(first, number, "ImageOrientationPatient")),
        pixel_spacing_mm=tuple(_place(first, number, "PixelSpacing")),
        slices=tuple(slices),
    )
    _check_grid(source, volume, starts)
    return source


def on_slices(volume: Volume, labels: np.ndarray) -> np.ndarray:
    """Return labels (I, J, K) of the grid of `volume` on its images' slices: the same, unless it was repaired."""
    return labels if volume.repair is None else volume.repair.on_slices(labels)


def _starts(volume: Volume) -> np.ndarray:
    """Return where the first pixel of each slice lies, as an index (slices, 3) on the volume's grid."""
    if volume.repair is not None:
        return volume.repair.starts
    return np.arange(volume.array.shape[2])[:, None] * [0, 0, 1]


def _size(volume: Volume) -> tuple[int, int]:
    """Return the columns and rows of each slice."""
    return volume.array.shape[:2] if volume.repair is None else volume.repair.size


def check_is_dicom(volume: Volume) -> None:
    """Refuse a volume that no DICOM result can refer to."""
    if not volume.series_uid:
        raise InputError(
            "FORMAT_NEEDS_DICOM",
            "DICOM SEG and RTSTRUCT refer to the DICOM images they were made of, and this case is no DICOM "
            "series; ask for nifti, or give the series",
        )


def _read_header(path: Path) -> Dataset:
    tags: list[Any] = list(READ)
    return pydicom.dcmread(path, stop_before_pixels=True, force=True, specific_tags=tags)


def _slice(ds: Dataset, frame: int | None) -> Slice:
    meta = getattr(ds, "file_meta", Dataset())
    sop_class = ds.get("SOPClassUID") or meta.get("MediaStorageSOPClassUID")
    instance = ds.get("SOPInstanceUID") or meta.get("MediaStorageSOPInstanceUID")
    if not sop_class or not instance:
        raise InputError(
            "FORMAT_NEEDS_DICOM",
            "a source image has no SOPClassUID or SOPInstanceUID, so that no DICOM result can refer to it; "
            "ask for nifti, or export the series again",
        )
    return Slice(str(sop_class), str(instance), frame, tuple(_place(ds, frame, "ImagePositionPatient")))


def _place(ds: Dataset, frame: int | None, name: str) -> Any:
    """Return a value that places pixels, from the frame's functional group, the shared one or the image."""
    levels = _levels(ds, frame, GROUP_OF[name])
    return next(level[name].value for level in levels if name in level)


def _levels(ds: Dataset, frame: int | None, sequence: str) -> list[Dataset]:
    groups = [] if frame is None else [ds.PerFrameFunctionalGroupsSequence[frame - 1]]
    groups += list(ds.get("SharedFunctionalGroupsSequence") or [])[:1]
    return [*(group[sequence][0] for group in groups if group.get(sequence)), ds]


def _image(ds: Dataset, frame: int | None, volume: Volume) -> Dataset:
    image = copied(ds, LOSSY)
    image.setdefault("LossyImageCompression", "00")
    image.Columns, image.Rows = _size(volume)
    levels = _levels(ds, frame, "PixelMeasuresSequence")
    thickness = next((t for level in levels if (t := valid_or_none(level, "SliceThickness"))), None)
    image.SliceThickness = thickness or volume.spacing_mm[2]  # as thick as the step, where nothing is said
    if volume.array.shape[2] > 1 and "GEOMETRY_REPAIRED_SPACING" not in volume.codes:  # one distance for all
        image.SpacingBetweenSlices = volume.spacing_mm[2]
    return image


def _check_grid(source: Source, volume: Volume, starts: np.ndarray) -> None:
    columns, rows = _size(volume)
    corners = np.array([(0, 0), (columns - 1, 0), (0, rows - 1)], float)
    to_lps = lps_to_ras(volume.affine)
    for k, start in enumerate(starts):
        expected = to_world(to_lps, np.c_[corners, np.zeros(3)] + start)
        apart_mm = np.abs(source.to_lps_mm(k, corners) - expected).max()
        if not apart_mm < OFF_GRID_MM:
            raise _off_grid(f"slice {k} lies {apart_mm:.2f} mm from where it was read")


def _off_grid(found: str) -> InputError:
    return InputError(
        "GEOMETRY_LABEL_GRID", f"{found}; give the volume that the labels were made of, its files unchanged"
    )
