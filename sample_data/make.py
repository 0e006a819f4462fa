"""Make the synthetic volumes of this folder: ``python sample_data/make.py [FOLDER]``.

Everything is drawn from fixed seeds, so that a second run gives the same arrays. Nothing in it is a
patient's.
"""

from __future__ import annotations

import sys
from pathlib import Path

import nibabel
import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid
from scipy.ndimage import gaussian_filter

TRAINING_CASES = 16
HELD_BACK_CASES = 4  # the last of them is written as DICOM
ORGANS = {  # CT: label, centre and half axes in parts of the volume, Hounsfield units
    "liver": (1, (0.33, 0.50, 0.60), (0.20, 0.22, 0.26), 105),
    "spleen": (2, (0.75, 0.40, 0.62), (0.09, 0.12, 0.18), 120),
    "right_kidney": (3, (0.34, 0.32, 0.30), (0.07, 0.08, 0.16), 160),
    "left_kidney": (4, (0.66, 0.32, 0.30), (0.07, 0.08, 0.16), 160),
    "vertebrae": (5, (0.50, 0.24, 0.50), (0.08, 0.08, 0.60), 350),
}


def ellipsoid(shape: tuple[int, ...], centre: np.ndarray, half_axes: np.ndarray) -> np.ndarray:
    """Return the squared radius of each voxel, 1 on the surface; centre and half axes in voxels."""
    grid = np.indices(shape, dtype=np.float64)
    return sum(((g - c) / h) ** 2 for g, c, h in zip(grid, centre, half_axes, strict=True))


def mr_case(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return an MR-like crop and its label map: 1 the front, 2 the back of one bent, elongated structure."""
    rng = np.random.default_rng(seed)
    shape = tuple(int(n) for n in rng.integers((32, 44, 30), (40, 56, 40)))
    bend = rng.uniform(4, 9)
    grid = np.indices(shape, dtype=np.float64)
    along = (grid[1] - shape[1] / 2 - rng.uniform(-2, 2)) / (shape[1] * rng.uniform(0.33, 0.4))
    across = grid[0] - shape[0] / 2 - rng.uniform(-2, 2)
    up = grid[2] - shape[2] / 2 - rng.uniform(-2, 2) + bend * along**2 - bend / 3
    thickness = rng.uniform(4.5, 6.0) * (1 + 0.35 * along)  # the front is thicker
    inside = (across / thickness) ** 2 + (up / thickness) ** 2 + along**8 < 1
    labels = np.where(inside, np.where(along > rng.uniform(0.0, 0.2), 1, 2), 0).astype(np.uint8)

    tissue = gaussian_filter(rng.normal(size=shape), 3)
    image = 0.5 + 0.12 * tissue / tissue.std()
    image[labels > 0] = 0.72 + 0.04 * (labels[labels > 0] == 1)
    image[ellipsoid(shape, np.array(shape) * rng.uniform(0.2, 0.3, 3), np.array([5, 9, 4])) < 1] = 0.15
    image = gaussian_filter(image, 0.7)
    bias = gaussian_filter(rng.normal(size=shape), 15)
    image *= 1 + 0.1 * bias / np.abs(bias).max()
    image += rng.normal(scale=0.03, size=shape)
    return np.clip(image * 255, 0, 255).round().astype(np.uint8), labels


def ct_case(
    seed: int, shape: tuple[int, int, int] = (84, 68, 40), organs: tuple[str, ...] = tuple(ORGANS)
) -> tuple[np.ndarray, np.ndarray]:
    """Return a CT-like torso in Hounsfield units and the label map of `organs`, ids as in `ORGANS`."""
    rng = np.random.default_rng(seed)
    size = np.array(shape)
    image = np.full(shape, -1000.0)
    body = ellipsoid(shape, size * (0.5, 0.47, 0.5), size * (0.46, 0.42, 10.0)) < 1
    image[body] = -90
    image[ellipsoid(shape, size * (0.5, 0.47, 0.5), size * (0.42, 0.36, 10.0)) < 1] = 45
    labels = np.zeros(shape, np.uint8)
    for name, (label, centre, half_axes, hu) in ORGANS.items():
        moved = np.array(centre) + rng.uniform(-0.02, 0.02, 3)
        organ = ellipsoid(shape, size * moved, size * half_axes * rng.uniform(0.9, 1.1, 3)) < 1
        image[organ] = hu
        if name in organs:
            labels[organ] = label
    image = gaussian_filter(image, 0.6) + rng.normal(scale=12, size=shape)
    return image.round().astype(np.int16), labels


def write_nifti(path: Path, array: np.ndarray, spacing_mm: tuple[float, ...]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nibabel.Nifti1Image(array, np.diag([*spacing_mm, 1.0]))
    image.header.set_xyzt_units("mm")
    nibabel.save(image, path)


def write_dicom_series(folder: Path, image: np.ndarray, spacing_mm: tuple[float, ...], name: str) -> None:
    """Write `image` (I, J, K), axes to the left, back and head of the patient, as one MR series."""
    folder.mkdir(parents=True, exist_ok=True)
    study, series, frame = (generate_uid(entropy_srcs=[name, part]) for part in ("study", "series", "frame"))
    for k in range(image.shape[2]):
        ds = Dataset()
        ds.file_meta = FileMetaDataset()
        ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = MRImageStorage
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=[name, str(k)])
        ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.FrameOfReferenceUID = study, series, frame
        ds.Modality, ds.PatientID, ds.PatientName = "MR", "SYNTHETIC", "Synthetic^Sample"
        ds.InstanceNumber = k + 1
        ds.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        ds.ImagePositionPatient = [0, 0, k * spacing_mm[2]]
        ds.PixelSpacing = [spacing_mm[1], spacing_mm[0]]
        ds.SliceThickness = spacing_mm[2]
        ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
        ds.Rows, ds.Columns = image.shape[1], image.shape[0]
        ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 16, 15, 0
        ds.PixelData = np.ascontiguousarray(image[:, :, k].T.astype("<u2")).tobytes()
        pydicom.dcmwrite(folder / f"{k + 1:03}.dcm", ds, enforce_file_format=True)


def make(folder: Path) -> None:
    """Write all sample data to `folder`."""
    millimetre = (1.0, 1.0, 1.0)
    for n in range(TRAINING_CASES):
        image, labels = mr_case(n)
        write_nifti(folder / f"mr/images/mr_{n:02}.nii.gz", image, millimetre)
        write_nifti(folder / f"mr/labels/mr_{n:02}.nii.gz", labels, millimetre)
    for n in range(TRAINING_CASES, TRAINING_CASES + HELD_BACK_CASES):
        image, labels = mr_case(n)
        label_file = folder / f"mr_held_back/labels/mr_{n:02}.nii.gz"
        write_nifti(label_file, labels, millimetre)
        if n < TRAINING_CASES + HELD_BACK_CASES - 1:
            write_nifti(folder / f"mr_held_back/images/mr_{n:02}.nii.gz", image, millimetre)
        else:  # DICOM's first two axes run to the left and to the back, NIfTI's to the right and front
            turned = (slice(None, None, -1), slice(None, None, -1))
            write_dicom_series(folder / f"mr_held_back/images/mr_{n:02}", image[turned], millimetre, f"mr_{n}")
            nibabel.save(nibabel.Nifti1Image(labels[turned], np.diag([-1.0, -1.0, 1.0, 1.0])), label_file)
    image, labels = ct_case(0)
    write_nifti(folder / "ct/images/ct_00.nii.gz", image, (4.0, 4.0, 5.0))
    write_nifti(folder / "ct/labels/ct_00.nii.gz", labels, (4.0, 4.0, 5.0))


if __name__ == "__main__":
    make(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
