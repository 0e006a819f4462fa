"""Reading: every voxel at its place, or a refusal by name."""

import shutil

import nibabel
import numpy as np
import pydicom
import pytest
import SimpleITK
from conftest import SAMPLES
from make import write_dicom_series

from medseg.errors import InputError
from medseg.preprocess import IMAGE
from medseg.read import LoadStudyd, read_volume


@pytest.fixture
def series(tmp_path):
    """A DICOM series of 5 slices, 2×3×4 mm, with a different number in every voxel."""
    image = np.arange(6 * 7 * 5, dtype=np.uint16).reshape(6, 7, 5)
    write_dicom_series(tmp_path / "series", image, (2.0, 3.0, 4.0), "test")
    return tmp_path / "series"


def edit(file, **fields):
    ds = pydicom.dcmread(file)
    for name, value in fields.items():
        setattr(ds, name, value)
    ds.save_as(file)


def code_of(path) -> str:
    with pytest.raises(InputError) as caught:
        read_volume(path)
    assert str(path) in str(caught.value)
    return caught.value.code


def test_dicom_lies_where_itk_puts_it(series):
    volume = read_volume(series)
    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames([str(file) for file in volume.source])
    itk = reader.Execute()
    np.testing.assert_array_equal(volume.array, SimpleITK.GetArrayFromImage(itk).T)
    for index in [(0, 0, 0), (5, 0, 0), (0, 6, 0), (0, 0, 4), (3, 2, 1)]:
        world_lps = itk.TransformIndexToPhysicalPoint(index)
        ours = volume.affine @ (*index, 1)
        np.testing.assert_allclose(ours[:3] * (-1, -1, 1), world_lps, atol=1e-9)
    np.testing.assert_allclose(volume.spacing_mm, (2, 3, 4))


def test_slice_order_follows_position_not_name_or_number(series):
    before = read_volume(series)
    files = sorted(series.iterdir())
    for n, file in enumerate(files):
        edit(file, InstanceNumber=(n * 3) % 5)
        file.rename(series / f"{(n * 2) % 5}.tmp")
    after = read_volume(series)
    np.testing.assert_array_equal(before.array, after.array)
    np.testing.assert_allclose(before.affine, after.affine)


def test_dicom_hazards_are_refused_by_name(series):
    files = sorted(series.iterdir())
    pixels = files[2].read_bytes()
    files[2].unlink()
    assert code_of(series) == "GEOMETRY_MISSING_SLICE"
    files[2].write_bytes(pixels)
    edit(files[2], ImagePositionPatient=[0, 0, 8.5])
    assert code_of(series) == "GEOMETRY_UNEVEN_SPACING"
    edit(files[2], ImagePositionPatient=[0, 0, 4])
    assert code_of(series) == "GEOMETRY_DUPLICATE_SLICE"
    edit(files[2], ImagePositionPatient=[0, 0, 8], SeriesInstanceUID="1.2.3")
    assert code_of(series) == "DICOM_SEVERAL_SERIES"
    files[2].write_bytes(pixels)
    edit(files[2], ImageOrientationPatient=[1, 0, 0, 0, 0.8, 0.6])
    assert code_of(series) == "GEOMETRY_MIXED_ORIENTATION"
    files[2].write_bytes(pixels)
    edit(files[2], PixelSpacing=[1, 1])
    assert code_of(series) == "GEOMETRY_MIXED_SIZES"
    edit(files[2], PixelSpacing=None)
    assert code_of(series) == "GEOMETRY_MISSING_POSITION"
    files[2].write_bytes(pixels)
    for n, file in enumerate(files):
        edit(file, ImagePositionPatient=[0, n, 4 * n])
    assert code_of(series) == "GEOMETRY_GANTRY_TILT"


def test_a_refused_series_is_not_read_by_another_reader(series):
    sorted(series.iterdir())[2].unlink()
    with pytest.raises(InputError, match="GEOMETRY_MISSING_SLICE"):
        LoadStudyd(IMAGE)({IMAGE: str(series)})


def test_rescaled_values_are_hounsfield_units(series):
    plain = read_volume(series).array
    for n, file in enumerate(sorted(series.iterdir())):
        edit(file, RescaleSlope=1 + n, RescaleIntercept=-1024)
    expected = plain * np.arange(1, 6) - 1024.0
    np.testing.assert_allclose(read_volume(series).array, expected)


@pytest.mark.parametrize("vendor", ["siemens", "ge", "compressed", "compressed_rle"])
def test_vendors_series_equal_the_independent_converter_s(vendor, real_data):
    volume = read_volume(real_data / "dicom/vendors" / vendor / "series")
    expected = nibabel.load(real_data / "dicom/vendors" / vendor / "expected.nii.gz")
    index = np.argwhere(np.ones(volume.array.shape))
    there = np.c_[index, np.ones(len(index))] @ (np.linalg.inv(expected.affine) @ volume.affine).T
    nearest = np.round(there[:, :3]).astype(int)
    assert np.abs(there[:, :3] - nearest).max() < 1e-3
    values = np.asarray(expected.dataobj)[tuple(nearest.T)].reshape(volume.array.shape)
    np.testing.assert_array_equal(volume.array, values)


def test_what_is_not_plain_dicom_is_refused(real_data):
    assert code_of(real_data / "dicom/vendors/philips_enhanced/series") == "DICOM_MULTIFRAME"


def test_real_hazards_are_refused(real_data):
    assert code_of(real_data / "dicom/hazards/gantry_tilt") == "GEOMETRY_GANTRY_TILT"
    assert code_of(real_data / "dicom/hazards/slice_increment") == "GEOMETRY_MISSING_SLICE"


def test_a_folder_without_an_image_is_unreadable(tmp_path):
    assert code_of(tmp_path / "missing.nii.gz") == "FILE_MISSING"
    shutil.copytree(SAMPLES / "ct", tmp_path / "empty" / "ct")
    assert code_of(tmp_path / "empty") == "FILE_UNREADABLE"
