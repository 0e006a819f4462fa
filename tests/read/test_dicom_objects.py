"""DICOM files that are no volume, are damaged, or lead to others."""

import shutil

import numpy as np
import pydicom
import pytest
from oracles.dicom_files import code_of, copy_of, edit, files
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    BasicTextSRStorage,
    ExplicitVRLittleEndian,
    GrayscaleSoftcopyPresentationStateStorage,
    RTDoseStorage,
    SecondaryCaptureImageStorage,
    generate_uid,
)

from medseg import InputError, read_volume
from medseg.read.study import scan


@pytest.mark.parametrize(
    ("sop_class", "code"),
    [
        (SecondaryCaptureImageStorage, "DICOM_SECONDARY_CAPTURE"),
        (BasicTextSRStorage, "DICOM_NOT_AN_IMAGE"),
        (RTDoseStorage, "DICOM_NOT_AN_IMAGE"),
        (GrayscaleSoftcopyPresentationStateStorage, "DICOM_NOT_AN_IMAGE"),
    ],
)
def test_other_objects_are_skipped_with_the_reason(series, image, sop_class, code):
    copy_of(files(series)[0], "other.dcm", SOPClassUID=sop_class, SeriesInstanceUID="1.2.3")
    np.testing.assert_array_equal(read_volume(series).array, image)
    assert [(f.verdict, f.codes) for f in scan(series)] == [("ok", ()), ("skipped", (code,))]
    assert code_of(series / "other.dcm") == code


def test_damaged_files_refuse_what_they_belong_to(series):
    whole = files(series)[2].read_bytes()
    for cut in (len(whole) - 10, len(whole) - 84, 500):
        files(series)[2].write_bytes(whole[:cut])
        assert code_of(series) in ("FILE_TRUNCATED", "FILE_UNREADABLE")
    files(series)[2].write_bytes(b"not DICOM at all")
    with pytest.raises(InputError, match="FILE_UNREADABLE"):
        read_volume(series)
    files(series)[2].rename(series / "README")
    assert code_of(series) == "GEOMETRY_MISSING_SLICE"


def test_what_is_tolerated_is_said(series, image):
    for file in files(series):
        edit(file, PhotometricInterpretation="MONOCHROME1", BurnedInAnnotation="YES", RescaleSlope="0")
    volume = read_volume(series)
    assert set(volume.codes) == {"DICOM_MONOCHROME1", "DICOM_BURNED_IN_ANNOTATION", "IMAGE_NO_SCALING"}
    np.testing.assert_array_equal(volume.array, image)


def test_a_constant_series_is_read_and_said(series):
    for file in files(series):
        edit(file, PixelData=bytes(84))
    assert read_volume(series).codes == ("IMAGE_CONSTANT",)


def test_a_claim_beyond_memory_is_refused(series):
    for file in files(series):
        edit(file, Rows=65535, Columns=65535, BitsAllocated=8, BitsStored=8, HighBit=7)
    assert code_of(series) == "FILE_TRUNCATED"


def write_dicomdir(folder, paths):
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.1.3.10"
    ds.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.DirectoryRecordSequence = []
    with pydicom.config.disable_value_validation():  # names as no medium may have them
        for parts in paths:
            record = Dataset()
            record.DirectoryRecordType, record.ReferencedFileID = "IMAGE", parts
            ds.DirectoryRecordSequence.append(record)
        pydicom.dcmwrite(folder / "DICOMDIR", ds, enforce_file_format=True)


def test_dicomdir_is_followed_within_its_folder(series, tmp_path, image):
    write_dicomdir(tmp_path, [["series", file.name] for file in files(series)])
    np.testing.assert_array_equal(read_volume(tmp_path / "DICOMDIR").array, image)
    np.testing.assert_array_equal(read_volume(tmp_path).array, image)


@pytest.mark.parametrize("parts", [["..", "outside", "001.dcm"], ["/etc/passwd"], ["series", "..", "..", "x"]])
def test_dicomdir_leads_nowhere_else(series, tmp_path, parts):
    write_dicomdir(series, [[file.name] for file in files(series)])
    shutil.copytree(series, tmp_path / "outside")
    write_dicomdir(series, [parts])
    assert code_of(series / "DICOMDIR") == "DICOM_OUTSIDE_ROOT"
