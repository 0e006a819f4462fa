"""Twenty ways in which a case of a batch is bad, and the code that each must get from a 3D MR model."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pydicom
from make import mr_case, write_dicom_series

BAD: dict[str, tuple[str, Callable[[Path], object]]] = {}  # name: code, what writes it to a path without suffix


def bad(code: str) -> Callable:
    def add(write: Callable[[Path], object]) -> Callable:
        BAD[write.__name__] = (code, write)
        return write

    return add


def image() -> np.ndarray:
    return mr_case(0)[0]


def packed(array: np.ndarray | None = None, affine: np.ndarray | None = None, **header: Any) -> bytes:
    """Return a NIfTI's bytes, not yet compressed."""
    made = nibabel.Nifti1Image(image() if array is None else array, np.eye(4) if affine is None else affine)
    raw = bytearray(made.to_bytes())
    fields = nibabel.Nifti1Header(bytes(raw[:348]), check=False)
    for name, value in header.items():
        fields[name] = value
    raw[:348] = fields.binaryblock
    return bytes(raw)


def nifti(path: Path, raw: bytes) -> None:
    path.with_name(path.name + ".nii.gz").write_bytes(gzip.compress(raw, 1))


def series(path: Path, change: Callable[[int, pydicom.Dataset], object] | None = None) -> list[Path]:
    """Write a DICOM series, each slice changed by its number."""
    write_dicom_series(path, image()[..., :12], (1.0, 1.0, 1.0), path.name)
    files = sorted(path.iterdir())
    for n, file in enumerate(files if change else ()):
        ds = pydicom.dcmread(file)
        change(n, ds)  # type: ignore[misc]
        ds.save_as(file)
    return files


@bad("FILE_TRUNCATED")
def cut_gzip(path: Path) -> None:
    file = path.with_name(path.name + ".nii.gz")
    file.write_bytes(gzip.compress(packed(), 1)[:-2000])


@bad("FILE_UNREADABLE")
def flipped_bits(path: Path) -> None:
    file = path.with_name(path.name + ".nii.gz")
    raw = bytearray(gzip.compress(packed(), 1))
    raw[-6] ^= 0xFF  # in the checksum
    file.write_bytes(raw)


@bad("FILE_TRUNCATED")
def empty_file(path: Path) -> None:
    path.with_name(path.name + ".nii.gz").touch()


@bad("FILE_UNREADABLE")
def text_renamed(path: Path) -> None:
    path.with_name(path.name + ".nii.gz").write_text("no image at all\n" * 100)


@bad("GEOMETRY_SINGLE_SLICE")
def flat(path: Path) -> None:
    nifti(path, packed(image()[:, :, :1]))


@bad("GEOMETRY_NOT_3D")
def four_axes(path: Path) -> None:
    nifti(path, packed(np.stack([image(), image()], axis=-1)))


@bad("GEOMETRY_BAD_AFFINE")
def nan_affine(path: Path) -> None:
    nifti(path, packed(srow_x=[np.nan, 0, 0, 0], sform_code=1, qform_code=0))


@bad("GEOMETRY_BAD_AFFINE")
def zero_affine(path: Path) -> None:
    nifti(path, packed(srow_x=[0, 0, 0, 0], sform_code=1, qform_code=0))


@bad("GEOMETRY_SHEARED")
def sheared(path: Path) -> None:
    nifti(path, packed(srow_x=[1, 0.3, 0, 0], sform_code=1, qform_code=0))


@bad("GEOMETRY_FORMS_DISAGREE")
def two_orientations(path: Path) -> None:
    nifti(path, packed(srow_x=[3, 0, 0, 0], sform_code=1, qform_code=1))


@bad("IMAGE_NOT_FINITE")
def nan_voxels(path: Path) -> None:
    array = image().astype(np.float32)
    array[3:5, 4, 4] = np.nan
    nifti(path, packed(array))


@bad("IMAGE_NOT_SCALAR")
def colours(path: Path) -> None:
    kind = np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])
    nifti(path, packed(np.zeros(image().shape, kind)))


@bad("FILE_TRUNCATED")
def claims_100_gb(path: Path) -> None:
    raw = packed(dim=[3, 4000, 4000, 3200, 1, 1, 1, 1])
    path.with_name(path.name + ".nii").write_bytes(raw)


@bad("GEOMETRY_MISSING_SLICE")
def missing_slice(path: Path) -> None:
    series(path)[5].unlink()


@bad("DICOM_SEVERAL_SERIES")
def two_series(path: Path) -> None:
    for file in series(path):
        ds = pydicom.dcmread(file)
        ds.SeriesInstanceUID = "1.2.3"
        ds.save_as(file.with_name(f"other_{file.name}"))


@bad("GEOMETRY_DUPLICATE_SLICE")
def other_pixels_at_one_place(path: Path) -> None:
    ds = pydicom.dcmread(series(path)[4])
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = "1.2.3.4"
    ds.PixelData = bytes(len(ds.PixelData))
    ds.save_as(path / "again.dcm")


@bad("GEOMETRY_GANTRY_TILT")
def tilted_gantry(path: Path) -> None:
    series(path, lambda n, ds: setattr(ds, "ImagePositionPatient", [0, 0.3 * n, n]))


@bad("GEOMETRY_MISSING_POSITION")
def no_positions(path: Path) -> None:
    series(path, lambda _, ds: delattr(ds, "ImagePositionPatient"))


@bad("DICOM_NO_SUCH_SERIES")
def a_ct(path: Path) -> None:
    series(path, lambda _, ds: setattr(ds, "Modality", "CT"))


@bad("FILE_TRUNCATED")
def cut_slice(path: Path) -> None:
    file = series(path)[7]
    file.write_bytes(file.read_bytes()[:-300])
