"""Small DICOM series made on the spot: oblique, single frames or one enhanced file, with a test's fields."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import EnhancedMRImageStorage, ExplicitVRLittleEndian, MRImageStorage, generate_uid

from medseg.read.volume import Volume

SPACING_MM = (0.7, 1.3, 2.9)  # between columns, rows and slices
SERIES_SPACING_MM = (2.0, 3.0, 4.0)  # of the fixture `series`
ORIGIN_LPS_MM = np.array([-31.4, 15.9, 26.5])


def rotation(axis: tuple[float, ...], angle_rad: float) -> np.ndarray:
    """Return the matrix of a turn around `axis` (Rodrigues)."""
    x, y, z = np.asarray(axis) / np.linalg.norm(axis)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle_rad) * cross + (1 - np.cos(angle_rad)) * cross @ cross


def right_handed() -> list[np.ndarray]:
    """Return the 24 right-handed ways in which (row, column, normal) run along the patient's axes."""
    signed = [
        np.diag(signs)[:, order]
        for order in map(list, itertools.permutations(range(3)))
        for signs in itertools.product((1.0, -1.0), repeat=3)
    ]
    return [axes for axes in signed if np.linalg.det(axes) > 0]


def pixels(shape: tuple[int, ...] = (6, 7, 5)) -> np.ndarray:
    """Return an array (column, row, slice) with another number in every voxel."""
    return np.arange(np.prod(shape), dtype=np.uint16).reshape(shape)


def labels_of(volume: Volume, seed: int = 0) -> np.ndarray:
    """Return random labels 0, 1 and 2, with a slice that has none and one without label 2."""
    labels = np.random.default_rng(seed).integers(0, 3, volume.array.shape).astype(np.uint8)
    labels[:, :, 1] = 0
    labels[:, :, 2][labels[:, :, 2] == 2] = 0
    return labels


def write_series(
    folder: Path,
    array: np.ndarray,
    axes: np.ndarray | None = None,
    *,
    backwards: bool = False,
    positions: np.ndarray | None = None,
    **fields: Any,
) -> Path:
    """Write `array` (column, row, slice) as single frames; a field of None is left out.

    `axes` holds the unit vectors along a row, a column and the normal, LPS, as columns. With `backwards` the
    files are numbered from the far end. `positions` (slices, 3), LPS mm, are even along the normal by default.
    """
    axes = np.eye(3) if axes is None else axes
    folder.mkdir(parents=True, exist_ok=True)
    series = generate_uid()
    values = {"FrameOfReferenceUID": generate_uid(), "StudyInstanceUID": generate_uid(), **fields}
    count = array.shape[2]
    if positions is None:
        positions = ORIGIN_LPS_MM + np.outer(np.arange(count) * SPACING_MM[2], axes[:, 2])
    for k in range(count):
        ds = _frame(array[:, :, k : k + 1], MRImageStorage)
        ds.SeriesInstanceUID = series
        ds.ImageOrientationPatient = [f"{value:.12f}" for value in axes[:, :2].T.ravel()]
        ds.ImagePositionPatient = [f"{value:.10f}" for value in positions[k]]
        ds.PixelSpacing, ds.SliceThickness = [SPACING_MM[1], SPACING_MM[0]], SPACING_MM[2]
        number = count - k if backwards else k + 1
        ds.InstanceNumber = number
        _set(ds, values)
        pydicom.dcmwrite(folder / f"{number:03}.dcm", ds, enforce_file_format=True)
    return folder


def write_enhanced(folder: Path, array: np.ndarray, axes: np.ndarray, order: list[int]) -> Path:
    """Write `array` as one enhanced MR file whose frames are the slices in `order`; places stand per frame."""
    folder.mkdir(parents=True, exist_ok=True)
    ds = _frame(array[:, :, order], EnhancedMRImageStorage)
    ds.SeriesInstanceUID, ds.StudyInstanceUID, ds.FrameOfReferenceUID = (generate_uid() for _ in range(3))
    ds.NumberOfFrames = len(order)
    ds.SharedFunctionalGroupsSequence = [Dataset()]
    frames = []
    for k in order:
        place, plane, measures, content, frame = (Dataset() for _ in range(5))
        place.ImagePositionPatient = [f"{v:.10f}" for v in ORIGIN_LPS_MM + axes[:, 2] * k * SPACING_MM[2]]
        plane.ImageOrientationPatient = [f"{value:.12f}" for value in axes[:, :2].T.ravel()]
        measures.PixelSpacing, measures.SliceThickness = [SPACING_MM[1], SPACING_MM[0]], SPACING_MM[2]
        content.StackID, content.InStackPositionNumber = "1", k + 1
        frame.PlanePositionSequence, frame.PlaneOrientationSequence = [place], [plane]
        frame.PixelMeasuresSequence, frame.FrameContentSequence = [measures], [content]
        frames.append(frame)
    ds.PerFrameFunctionalGroupsSequence = frames
    pydicom.dcmwrite(folder / "enhanced.dcm", ds, enforce_file_format=True)
    return folder


def _frame(array: np.ndarray, sop_class: str) -> Dataset:
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SOPClassUID, ds.SOPInstanceUID, ds.Modality = sop_class, generate_uid(), "MR"
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.Columns, ds.Rows = array.shape[:2]
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 16, 15, 0
    ds.PixelData = np.ascontiguousarray(array.transpose(2, 1, 0).astype("<u2")).tobytes()
    return ds


def _set(ds: Dataset, values: dict[str, Any]) -> None:
    for name, value in values.items():
        if value is not None:
            setattr(ds, name, value)
        elif name in ds:
            delattr(ds, name)
