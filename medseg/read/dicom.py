"""A folder that holds one plain DICOM series to a `Volume`; LPS exists only in this file.

The grid comes from ImagePositionPatient, ImageOrientationPatient and PixelSpacing (DICOM PS3.3 C.7.6.2),
never from slice numbers or thickness, and a grid that is not regular is refused.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError

from medseg.errors import InputError
from medseg.read.volume import Volume

SPACING_TOLERANCE_MM = 0.05  # how far a slice may lie from the regular grid; headers round to about 0.01
DIRECTION_TOLERANCE = 1e-3  # largest difference of two direction cosines taken as the same
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def read_dicom(folder: str | Path) -> Volume:
    """Read the one series of `folder` (not of its subfolders); voxels are float32 where they are rescaled.

    Raises
    ------
    InputError
        A `DICOM_*` or `GEOMETRY_*` code; `FILE_UNREADABLE` where nothing in the folder is DICOM.
    """
    folder = Path(folder)
    slices = [(path, ds) for path in sorted(folder.iterdir()) if (ds := _open(path)) is not None]
    if not slices:
        raise InputError("FILE_UNREADABLE", f"{folder} holds no DICOM image; give the folder of one series")
    series = {str(ds.get("SeriesInstanceUID", "")) for _, ds in slices}
    if len(series) > 1:
        raise InputError(
            "DICOM_SEVERAL_SERIES", f"{folder} holds {len(series)} series; put each in its own folder"
        )
    _check_plain(folder, [ds for _, ds in slices])
    affine, order = _grid(folder, [ds for _, ds in slices])
    slices = [slices[i] for i in order]
    array = np.stack([_pixels(path, ds) for path, ds in slices], axis=-1)
    first = slices[0][1]
    return Volume(
        array=array,
        affine=affine,
        modality=str(first.get("Modality", "")),
        source=tuple(path for path, _ in slices),
    )


def _open(path: Path) -> Dataset | None:
    if path.is_dir() or path.name.startswith(".") or path.name == "DICOMDIR":
        return None
    try:
        ds = pydicom.dcmread(path)
    except InvalidDicomError:
        return None  # a README beside the slices is not an error
    except Exception as error:  # pydicom raises what the broken bytes led it to
        raise InputError("FILE_UNREADABLE", f"{path} cannot be read as DICOM ({type(error).__name__})") from error
    return ds if "PixelData" in ds else None


def _check_plain(folder: Path, slices: list[Dataset]) -> None:
    for ds in slices:
        if int(ds.get("NumberOfFrames", 1) or 1) > 1:
            raise InputError("DICOM_MULTIFRAME", f"{folder} holds a multi-frame object; export single frames")
        if int(ds.get("SamplesPerPixel", 1)) != 1:
            raise InputError("IMAGE_NOT_SCALAR", f"{folder} holds colour pictures; a scalar series is needed")
        missing = [
            name
            for name in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing")
            if not ds.get(name)
        ]
        if missing:
            raise InputError("GEOMETRY_MISSING_POSITION", f"{folder}: a slice lacks {', '.join(missing)}")
    sizes = {(int(ds.Rows), int(ds.Columns), *map(float, ds.PixelSpacing)) for ds in slices}
    if len(sizes) > 1:
        raise InputError("GEOMETRY_MIXED_SIZES", f"{folder}: slices differ in size or pixel spacing: {sizes}")


def _grid(folder: Path, slices: list[Dataset]) -> tuple[np.ndarray, list[int]]:
    """Return the RAS+ affine for axes (column, row, slice), and the slices' order along their normal."""
    cosines = np.array([ds.ImageOrientationPatient for ds in slices], dtype=np.float64)
    if np.abs(cosines - cosines[0]).max() > DIRECTION_TOLERANCE:
        raise InputError("GEOMETRY_MIXED_ORIENTATION", f"{folder}: slices lie in different planes")
    along_row, along_column = cosines[0, :3], cosines[0, 3:]
    normal = np.cross(along_row, along_column)
    positions = np.array([ds.ImagePositionPatient for ds in slices], dtype=np.float64)
    order = np.argsort(positions @ normal, kind="stable")
    positions = positions[order]
    step = _regular_step(folder, positions, normal, slices[0])
    row_spacing, column_spacing = (float(s) for s in slices[0].PixelSpacing)
    lps = np.eye(4)
    lps[:3, 0] = along_row * column_spacing  # PixelSpacing is (between rows, between columns)
    lps[:3, 1] = along_column * row_spacing
    lps[:3, 2] = step
    lps[:3, 3] = positions[0]
    return LPS_TO_RAS @ lps, [int(i) for i in order]


def _regular_step(folder: Path, positions: np.ndarray, normal: np.ndarray, first: Dataset) -> np.ndarray:
    """Return the vector from slice to slice in mm, or refuse positions that no single vector explains."""
    if len(positions) == 1:
        thickness = first.get("SpacingBetweenSlices") or first.get("SliceThickness") or 1.0
        return normal * float(thickness)
    steps_mm = np.diff(positions @ normal)
    if steps_mm.min() < SPACING_TOLERANCE_MM:
        raise InputError("GEOMETRY_DUPLICATE_SLICE", f"{folder}: two slices lie at the same position")
    if np.ptp(steps_mm) > SPACING_TOLERANCE_MM:
        found = f"{steps_mm.min():.2f} to {steps_mm.max():.2f} mm apart"
        missing = steps_mm.max() > 1.5 * np.median(steps_mm)
        code = "GEOMETRY_MISSING_SLICE" if missing else "GEOMETRY_UNEVEN_SPACING"
        raise InputError(code, f"{folder}: slices lie {found}; complete the series or resample it evenly")
    step = (positions[-1] - positions[0]) / (len(positions) - 1)
    regular = positions[0] + np.outer(np.arange(len(positions)), step)
    if np.abs(positions - regular).max() > SPACING_TOLERANCE_MM:
        raise InputError("GEOMETRY_UNEVEN_SPACING", f"{folder}: slice positions do not lie on one line")
    sideways_mm = np.linalg.norm(step - normal * (step @ normal)) * (len(positions) - 1)
    if sideways_mm > SPACING_TOLERANCE_MM:
        raise InputError(
            "GEOMETRY_GANTRY_TILT", f"{folder}: slices shift {sideways_mm:.1f} mm sideways (tilted gantry)"
        )
    return normal * (step @ normal)


def _pixels(path: Path, ds: Dataset) -> np.ndarray:
    """Decode one slice to (column, row), rescaled to its modality's units."""
    try:
        pixels = ds.pixel_array
    except Exception as error:  # each decoder raises its own
        raise InputError(
            "DICOM_PIXELS_UNREADABLE", f"{path}: pixel data cannot be decoded ({type(error).__name__})"
        ) from error
    slope, intercept = float(ds.get("RescaleSlope", 1) or 1), float(ds.get("RescaleIntercept", 0) or 0)
    if (slope, intercept) != (1.0, 0.0):
        pixels = pixels * np.float32(slope) + np.float32(intercept)
    return pixels.T
