"""Small valid files of every format that is read, and ways to damage them that know where the sizes stand."""

from __future__ import annotations

import gzip
import io
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import SimpleITK
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    EnhancedMRImageStorage,
    ExplicitVRLittleEndian,
    JPEGBaseline8Bit,
)

PYDICOM_FILES = Path(pydicom.__file__).parent / "data/test_files"  # by path: its own finder goes to the network
BUNDLED = {
    "explicit": "CT_small.dcm",
    "implicit": "MR_small_implicit.dcm",
    "big_endian": "MR_small_bigendian.dcm",
    "rle": "MR_small_RLE.dcm",
    "jpeg2000": "MR_small_jp2klossless.dcm",
    "jpeg_ls": "MR_small_jpeg_ls_lossless.dcm",
    "segmentation": "liver_1frame.dcm",
}
DICOM_FIELDS = {  # tag and bytes of value: what decides how much is read and where it lies
    "Rows": (0x0028, 0x0010),
    "Columns": (0x0028, 0x0011),
    "NumberOfFrames": (0x0028, 0x0008),
    "SamplesPerPixel": (0x0028, 0x0002),
    "BitsAllocated": (0x0028, 0x0100),
    "BitsStored": (0x0028, 0x0101),
    "PixelSpacing": (0x0028, 0x0030),
    "RescaleSlope": (0x0028, 0x1053),
    "ImagePositionPatient": (0x0020, 0x0032),
    "ImageOrientationPatient": (0x0020, 0x0037),
    "TransferSyntaxUID": (0x0002, 0x0010),
    "GroupLength": (0x0002, 0x0000),
    "PerFrameGroups": (0x5200, 0x9230),
    "PixelData": (0x7FE0, 0x0010),
    "Item": (0xFFFE, 0xE000),
}
NIFTI_FIELDS = (0, 40, 42, 44, 46, 48, 70, 72, 76, 80, 108, 112, 116, 252, 254, 280, 344)  # offsets in NIfTI-1
INTERESTING = (0, 1, 2, 7, 8, 16, 127, 255, 256, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
NUMBERS = (b"0", b"-1", b"99999", b"2147483648", b"99999999999999999999", b"1e308", b"nan", b"", b"0.0", b"-0")
Rng = np.random.Generator


@cache
def seeds() -> dict[str, tuple[str, bytes]]:
    """Return ``{kind: (file suffix, bytes)}``."""
    image = np.arange(7 * 6 * 5, dtype=np.int16).reshape(7, 6, 5)
    plain = nibabel.Nifti1Image(image, np.diag([2.0, 3, 4, 1])).to_bytes()
    second = nibabel.Nifti2Image(image.astype(np.float32), np.diag([2.0, 3, 4, 1])).to_bytes()
    found = {
        "nifti": (".nii", plain),
        "nifti2": (".nii", second),
        "nifti_gz": (".nii.gz", gzip.compress(plain, mtime=0)),
        "nrrd": (".nrrd", _by_itk(image, ".nrrd", packed=False)),
        "nrrd_gz": (".nrrd", _by_itk(image, ".nrrd", packed=True)),
        "mha": (".mha", _by_itk(image, ".mha", packed=False)),
        "mha_zlib": (".mha", _by_itk(image, ".mha", packed=True)),
    }
    found |= {f"dicom_{name}": (".dcm", (PYDICOM_FILES / file).read_bytes()) for name, file in BUNDLED.items()}
    found |= {"dicom_deflated": (".dcm", _deflated()), "dicom_jpeg": (".dcm", _jpeg())}
    return found | {"dicom_multiframe": (".dcm", _multiframe())}


def _by_itk(image: np.ndarray, suffix: str, *, packed: bool) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"image{suffix}")
        SimpleITK.WriteImage(SimpleITK.GetImageFromArray(image), str(path), packed)
        return path.read_bytes()


def _deflated() -> bytes:
    ds = pydicom.dcmread(PYDICOM_FILES / BUNDLED["implicit"])
    ds.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    return _written(ds)


def _jpeg() -> bytes:
    """Return a CT slice in JPEG of 8 bits."""
    ds = pydicom.dcmread(PYDICOM_FILES / BUNDLED["explicit"])
    picture = io.BytesIO()
    Image.fromarray((ds.pixel_array % 256).astype(np.uint8)).save(picture, "JPEG", quality=50)
    ds.PixelData = encapsulate([picture.getvalue()])
    ds["PixelData"].VR, ds["PixelData"].is_undefined_length = "OB", True
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 8, 8, 7, 0
    ds.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    return _written(ds)


def _written(ds: Dataset) -> bytes:
    stream = io.BytesIO()
    pydicom.dcmwrite(stream, ds, enforce_file_format=True)
    return stream.getvalue()


def _multiframe() -> bytes:
    ds, rows, columns, frames = Dataset(), 6, 5, 4
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = EnhancedMRImageStorage
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = "1.2.3.1"
    ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.FrameOfReferenceUID = "1.2.3.2", "1.2.3.3", "1.2.3.4"
    ds.Modality, ds.ImageType = "MR", ["ORIGINAL", "PRIMARY", "M", "NONE"]
    shared, measures, orientation = Dataset(), Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = [2, 3], 4
    orientation.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = [measures], [orientation]
    ds.SharedFunctionalGroupsSequence = [shared]
    groups = []
    for k in range(frames):
        group, place = Dataset(), Dataset()
        place.ImagePositionPatient = [0, 0, 4 * k]
        group.PlanePositionSequence = [place]
        groups.append(group)
    ds.PerFrameFunctionalGroupsSequence = groups
    ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.NumberOfFrames = 1, "MONOCHROME2", frames
    ds.Rows, ds.Columns, ds.BitsAllocated, ds.BitsStored, ds.HighBit = rows, columns, 16, 16, 15
    ds.PixelRepresentation = 0
    ds.PixelData = np.arange(rows * columns * frames, dtype="<u2").tobytes()
    return _written(ds)


def damage(kind: str, seed: int, number: int) -> bytes:
    """Return the seed file `kind` after one to three damages; a pure function of its arguments."""
    rng = np.random.default_rng([seed, number, *kind.encode()])
    data = seeds()[kind][1]
    inside = kind == "nifti_gz" and bool(rng.integers(2))  # damage what is packed, and pack it again
    changed = bytearray(gzip.decompress(data) if inside else data)
    family = kind.split("_")[0]
    aimed = {"dicom": _dicom_field, "nifti": _nifti_field, "nifti2": _nifti_field}.get(family, _number_in_text)
    blind = (_flip_bits, _cut, _splice, _remove, _set_bytes)
    for _ in range(rng.integers(1, 4)):
        way: Callable[[Rng, bytearray], None] = aimed if rng.random() < 0.7 else blind[rng.integers(len(blind))]
        if len(changed) > 8:
            way(rng, changed)
    return gzip.compress(bytes(changed), 1, mtime=0) if inside else bytes(changed)


def _where(rng: Rng, data: bytearray) -> int:
    """Return an offset: half the time in the first bytes, where headers are."""
    return int(rng.integers(min(len(data), 512) if rng.integers(2) else len(data)))


def _flip_bits(rng: Rng, data: bytearray) -> None:
    for _ in range(rng.integers(1, 9)):
        data[_where(rng, data)] ^= 1 << int(rng.integers(8))


def _cut(rng: Rng, data: bytearray) -> None:
    del data[_where(rng, data) :]


def _remove(rng: Rng, data: bytearray) -> None:
    start = _where(rng, data)
    del data[start : start + int(rng.integers(1, 64))]


def _splice(rng: Rng, data: bytearray) -> None:
    """Put bytes of this file, or of another seed, somewhere else in it."""
    others = list(seeds().values())
    source = data if rng.integers(2) else others[rng.integers(len(others))][1]
    start, at = int(rng.integers(len(source))), _where(rng, data)
    piece = bytes(source[start : start + int(rng.integers(1, 256))])
    data[at : at + (len(piece) if rng.integers(2) else 0)] = piece


def _set_bytes(rng: Rng, data: bytearray) -> None:
    _put(rng, data, _where(rng, data), int(rng.choice([1, 2, 4])))


def _put(rng: Rng, data: bytearray, at: int, size: int) -> None:
    value = int(INTERESTING[rng.integers(len(INTERESTING))]) & ((1 << 8 * size) - 1)
    data[at : at + size] = value.to_bytes(size, "little" if rng.random() < 0.8 else "big")


def _nifti_field(rng: Rng, data: bytearray) -> None:
    _put(rng, data, int(rng.choice(NIFTI_FIELDS)), int(rng.choice([2, 4])))


def _number_in_text(rng: Rng, data: bytearray) -> None:
    """Replace a number of the text header (NRRD, MetaImage) or, in packed NIfTI, any bytes."""
    starts = [
        i for i in range(1, min(len(data), 700)) if chr(data[i]).isdigit() and not chr(data[i - 1]).isdigit()
    ]
    if not starts:
        _set_bytes(rng, data)
        return
    start = end = int(rng.choice(starts))
    while end < len(data) and chr(data[end]).isdigit():
        end += 1
    data[start:end] = NUMBERS[rng.integers(len(NUMBERS))]


def _dicom_field(rng: Rng, data: bytearray) -> None:
    """Change the length, the type or the value of an element that sizes or places the pixels."""
    group, element = list(DICOM_FIELDS.values())[rng.integers(len(DICOM_FIELDS))]
    for order in ("little", "big"):
        at = data.find(group.to_bytes(2, order) + element.to_bytes(2, order), 132)  # type: ignore[arg-type]
        if at >= 0:
            break
    else:
        _set_bytes(rng, data)
        return
    how = rng.integers(4)
    if how == 0:
        _put(rng, data, at + 4, 4)
    elif how == 1:
        _put(rng, data, at + 6, 2)
    elif how == 2:
        _put(rng, data, at + 8, int(rng.choice([2, 4])))
    else:
        text = NUMBERS[rng.integers(len(NUMBERS))].ljust(8)
        data[at + 8 : at + 8 + len(text)] = text
