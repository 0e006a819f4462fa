"""DICOM: every voxel where its header puts it, in the units its header gives."""

from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pydicom.data
import pytest
import SimpleITK
from oracles.dicom_files import edit_all
from oracles.dicom_series import SERIES_SPACING_MM

from medseg import InputError, read_study, read_volume
from medseg.preprocess.keys import IMAGE
from medseg.read.monai_reader import LoadStudyd, StudyReader
from medseg.read.study import scan


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
    np.testing.assert_allclose(volume.spacing_mm, SERIES_SPACING_MM)


@pytest.mark.parametrize(
    "vendor", ["siemens", "ge", "philips_enhanced", "compressed", "compressed_jpegls", "compressed_rle"]
)
def test_vendors_series_equal_the_independent_converter_s(vendor, real_data):
    volume = read_volume(real_data / "dicom/vendors" / vendor / "series")
    expected = nibabel.load(real_data / "dicom/vendors" / vendor / "expected.nii.gz")
    index = np.argwhere(np.ones(volume.array.shape))
    there = np.c_[index, np.ones(len(index))] @ (np.linalg.inv(expected.affine) @ volume.affine).T
    nearest = np.round(there[:, :3]).astype(int)
    off_mm = (there - np.c_[nearest, np.ones(len(nearest))]) @ expected.affine.T
    assert np.abs(off_mm).max() < 1e-3
    values = np.asarray(expected.dataobj)[tuple(nearest.T)].reshape(volume.array.shape)
    np.testing.assert_array_equal(volume.array, values)
    assert volume.codes == ()


def test_slice_order_follows_position_not_name_or_number(series):
    before = read_volume(series)
    edit_all(series, lambda n, ds: setattr(ds, "InstanceNumber", (n * 3) % 5))
    for n, file in enumerate(sorted(series.iterdir())):
        file.rename(series / f"{(n * 2) % 5}.tmp")
    after = read_volume(series)
    np.testing.assert_array_equal(before.array, after.array)
    np.testing.assert_array_equal(before.affine, after.affine)
    edit_all(series, lambda _, ds: ds.pop("InstanceNumber"))
    np.testing.assert_array_equal(before.array, read_volume(series).array)


@pytest.mark.parametrize(
    "flip", [(1, 0, 0, 0, 1, 0), (-1, 0, 0, 0, -1, 0), (-1, 0, 0, 0, 1, 0), (0, 1, 0, 0, 0, -1)]
)
@pytest.mark.parametrize("towards", [1, -1])
def test_any_patient_position_lies_where_its_header_says(series, image, flip, towards):
    """Supine, prone, feet first and sagittal: what counts is position and orientation, not PatientPosition."""
    normal = np.cross(flip[:3], flip[3:])
    start = np.array([-30.0, 20.0, 100.0])

    def turn(n, ds):
        ds.PatientPosition = "FFP"
        ds.ImageOrientationPatient = list(flip)
        ds.ImagePositionPatient = list(start + towards * 4.0 * n * normal)

    edit_all(series, turn)
    volume = read_volume(series)
    for i, j, n in [(0, 0, 0), (5, 6, 4), (2, 3, 1)]:
        lps = start + 2.0 * i * np.array(flip[:3]) + 3.0 * j * np.array(flip[3:]) + towards * 4.0 * n * normal
        index = np.linalg.inv(volume.affine) @ (*(lps * (-1, -1, 1)), 1)
        np.testing.assert_allclose(index, index.round(), atol=1e-9)
        assert volume.array[tuple(index[:3].round().astype(int))] == image[i, j, n]


def test_no_preamble_is_read_and_said(series):
    before = read_volume(series)
    for file in series.iterdir():
        file.write_bytes(file.read_bytes()[132:])
    volume = read_volume(series)
    np.testing.assert_array_equal(before.array, volume.array)
    assert volume.codes == ("DICOM_NO_PREAMBLE",)


def test_names_and_character_sets_beyond_ascii(series, tmp_path, image):
    def name(_, ds):
        ds.SpecificCharacterSet = "ISO_IR 192"
        ds.PatientName, ds.SeriesDescription = "Müller^Jürgen=山田^太郎", "Kopf nativ, längs"

    edit_all(series, name)
    folder = series.rename(tmp_path / "Schädel 頭部")
    for n, file in enumerate(sorted(folder.iterdir())):
        file.rename(folder / f"шар {n}")
    np.testing.assert_array_equal(read_volume(folder, description="*LÄNGS").array, image)


def test_pydicom_s_own_files_give_a_volume_or_a_code():
    root = pydicom.data.get_testdata_file("CT_small.dcm").rsplit("/", 2)[0]
    verdicts = {}
    for path in sorted(Path(root).rglob("*")):
        if path.is_file() and path.suffix not in (".py", ".pyc"):
            try:
                verdicts[path.name] = read_study(path)
            except InputError as error:
                verdicts[path.name] = error.code
    assert len(verdicts) > 150
    assert verdicts["MR_truncated.dcm"] == "FILE_TRUNCATED"
    assert verdicts["rtdose.dcm"] == verdicts["reportsi.dcm"] == "DICOM_NOT_AN_IMAGE"
    assert verdicts["examples_palette.dcm"] == "IMAGE_NOT_SCALAR"
    for name in ("CT_small.dcm", "MR_small_RLE.dcm", "MR_small_jp2klossless.dcm", "693_J2KI.dcm"):
        (volume,) = verdicts[name]
        assert volume.codes == ("GEOMETRY_SINGLE_SLICE",)
        ds = pydicom.dcmread(pydicom.data.get_testdata_file(name))
        expected = ds.pixel_array * ds.get("RescaleSlope", 1) + ds.get("RescaleIntercept", 0)
        np.testing.assert_array_equal(volume.array[:, :, 0], expected.T)


def test_frames_of_one_file_are_named(real_data):
    volume = read_volume(real_data / "dicom/vendors/philips_enhanced/series")
    assert len(volume.source) == 1
    assert sorted(volume.frames) == list(range(1, 9))


def test_as_a_monai_reader_and_transform(series, image):
    from monai.transforms import LoadImaged

    ours = LoadStudyd(IMAGE)({IMAGE: str(series)})[IMAGE]
    monai = LoadImaged(IMAGE, reader=StudyReader(), ensure_channel_first=True)({IMAGE: str(series)})[IMAGE]
    np.testing.assert_array_equal(ours, monai)
    np.testing.assert_array_equal(ours.affine, monai.affine)
    np.testing.assert_array_equal(ours[0], image)
    given = LoadStudyd(IMAGE)({IMAGE: read_volume(series)})[IMAGE]
    np.testing.assert_array_equal(ours, given)


def test_scan_says_what_read_gives(series):
    (finding,) = scan(series)
    volume = read_volume(series)
    assert finding.shape == volume.array.shape
    np.testing.assert_array_equal(finding.affine, volume.affine)
    assert finding.source == volume.source
    assert finding.series_uid == volume.series_uid != ""
    assert (finding.modality, volume.modality) == ("MR", "MR")
