"""DICOM: every voxel where its header puts it, in the units its header gives."""

import base64
import io
from pathlib import Path

import nibabel
import numpy as np
import PIL.Image
import pydicom
import pydicom.data
import pytest
import SimpleITK
from make import write_dicom_series
from oracles.dicom_series import SERIES_SPACING_MM
from pydicom.encaps import encapsulate
from pydicom.uid import (
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    HTJ2KLossless,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from medseg import InputError, read_study, read_volume
from medseg.preprocess.keys import IMAGE
from medseg.read.monai_reader import LoadStudyd, StudyReader
from medseg.read.study import scan


def edit(folder, change):
    """Apply `change(n, dataset)` to every file and write it back."""
    for n, file in enumerate(sorted(folder.iterdir())):
        ds = pydicom.dcmread(file)
        change(n, ds)
        ds.save_as(file)


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
    edit(series, lambda n, ds: setattr(ds, "InstanceNumber", (n * 3) % 5))
    for n, file in enumerate(sorted(series.iterdir())):
        file.rename(series / f"{(n * 2) % 5}.tmp")
    after = read_volume(series)
    np.testing.assert_array_equal(before.array, after.array)
    np.testing.assert_array_equal(before.affine, after.affine)
    edit(series, lambda _, ds: ds.pop("InstanceNumber"))
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

    edit(series, turn)
    volume = read_volume(series)
    for i, j, n in [(0, 0, 0), (5, 6, 4), (2, 3, 1)]:
        lps = start + 2.0 * i * np.array(flip[:3]) + 3.0 * j * np.array(flip[3:]) + towards * 4.0 * n * normal
        index = np.linalg.inv(volume.affine) @ (*(lps * (-1, -1, 1)), 1)
        np.testing.assert_allclose(index, index.round(), atol=1e-9)
        assert volume.array[tuple(index[:3].round().astype(int))] == image[i, j, n]


def test_rescaled_per_slice_in_float32(series):
    plain = read_volume(series).array
    edit(series, lambda n, ds: ds.update({"RescaleSlope": 1 + n, "RescaleIntercept": -1024}))
    volume = read_volume(series)
    assert volume.array.dtype == np.float32
    np.testing.assert_array_equal(volume.array, plain * np.arange(1, 6) - 1024.0)


def test_hounsfield_units_stay_whole_numbers(series):
    plain = read_volume(series).array
    edit(series, lambda _, ds: ds.update({"RescaleSlope": "1", "RescaleIntercept": "-1024"}))
    volume = read_volume(series)
    assert volume.array.dtype == np.int16
    np.testing.assert_array_equal(volume.array, plain.astype(int) - 1024)


@pytest.mark.parametrize("stored", [np.arange(-30, 12), np.arange(-2048, 2048, 98)])
def test_the_sign_of_short_words_is_kept(series, stored):
    """12 bits stored in 16, signed, what lies above them filled with something else (an old overlay)."""
    pixels = stored.astype(np.int16)[:42].reshape(7, 6)

    def write(_, ds):
        ds.PixelRepresentation, ds.BitsStored, ds.HighBit = 1, 12, 11
        ds.PixelData = ((pixels.astype(int) & 0xFFF) | 0x5000).astype("<u2").tobytes()

    edit(series, write)
    np.testing.assert_array_equal(read_volume(series).array[:, :, 0], pixels.T)


def test_unsigned_high_bits_and_a_shifted_high_bit(series):
    pixels = np.arange(0, 4032, 96).reshape(7, 6)

    def write(_, ds):
        ds.BitsStored, ds.HighBit = 12, 15
        ds.PixelData = (pixels << 4 | 0x3).astype("<u2").tobytes()

    edit(series, write)
    np.testing.assert_array_equal(read_volume(series).array[:, :, 2], pixels.T)


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian])
def test_uncompressed_transfer_syntaxes(series, syntax):
    before = read_volume(series)

    def convert(ds):
        if not syntax.is_little_endian:
            ds.PixelData = np.frombuffer(ds.PixelData, "<u2").astype(">u2").tobytes()
        ds.file_meta.TransferSyntaxUID = syntax

    for file in sorted(series.iterdir()):
        ds = pydicom.dcmread(file)
        convert(ds)
        how = {"implicit_vr": syntax.is_implicit_VR, "little_endian": syntax.is_little_endian}
        pydicom.dcmwrite(file, ds, **how, enforce_file_format=True)
    after = read_volume(series)
    np.testing.assert_array_equal(before.array, after.array)
    np.testing.assert_array_equal(before.affine, after.affine)


def jpeg_lossless(_):
    """6 rows of `PIXELS` by ``imagecodecs.ljpeg_encode(…, bitspersample=12)``, which is no dependency."""
    return base64.b64decode(
        "/9j/xAAXAAEBAQEAAAAAAAAAAAAAAAAHAwgM/8MACwwABgAUAQARAP/aAAgBAAAGAADn/wC973ve973ve973ve+jEZGRkZGRkZGR"
        "kZGRkZGRkZGRkbRiMjIyMjIyMjIyMjIyMjIyMjIyNoxGRkZGRkZGRkZGRkZGRkZGRkZG0YjIyMjIyMjIyMjIyMjIyMjIyMjaMRkZ"
        "GRkZGRkZGRkZGRkZGRkZGRj/2Q=="
    )


def jpeg_baseline(pixels):
    buffer = io.BytesIO()
    PIL.Image.fromarray((pixels % 256).astype(np.uint8)).save(buffer, "JPEG", quality=100)
    return buffer.getvalue()


def htj2k(_):
    """`PIXELS` by ``imagecodecs.htj2k_encode(PIXELS, reversible=True)`` (OpenJPH), which is no dependency."""
    return base64.b64decode(
        "/0//UQApQAAAAAAUAAAAGAAAAAAAAAAAAAAAFAAAABgAAAAAAAAAAAABDwEB/1AACAACAAAACv9SAAwAAgABAAUEBEAB/1wAEyCIkJCQkJCQ"
        "kJCQkJCQiIiI/2QAFwABT3BlbkpQSCBWZXIgMC4yNi4zLv+QAAoAAAAAAJoAAf+TwAAme/YFB3QAwAASwAATAOQBB3QAvvIDh3QAwAARwAAT"
        "AAETAJ+fAEI0AMAAEkAAFUAMcnQA/OQnP8BSgf62AMAAFTAABXDe3bva/X7LdgB00qFDh870EEZCAey4AMAAK+AAFsAkSZIk+e/4p6enp6dC"
        "egAWLSwsLCwsLCws/v9QBj2MYHv2MYHsvQD/2Q=="
    )


PIXELS = (np.arange(24 * 20).reshape(24, 20) * 7 % 4096).astype(np.uint16)
COMPRESSED = {
    RLELossless: None,
    JPEG2000Lossless: None,
    JPEGLSLossless: None,
    JPEGLosslessSV1: jpeg_lossless,
    HTJ2KLossless: htj2k,
}


@pytest.mark.parametrize("syntax", [*COMPRESSED, JPEGBaseline8Bit], ids=lambda uid: uid.keyword)
def test_compressed_transfer_syntaxes(tmp_path, syntax):
    pixels = PIXELS[:6] if syntax == JPEGLosslessSV1 else PIXELS
    if COMPRESSED.get(syntax, 1) is None:  # encoders want more than a few pixels
        pixels = np.kron(pixels, np.ones((4, 4), np.uint16))
    write_dicom_series(tmp_path / "series", np.repeat(pixels.T[..., None], 3, 2), SERIES_SPACING_MM, "compressed")
    for file in sorted((tmp_path / "series").iterdir()):
        ds = pydicom.dcmread(file)
        if syntax == JPEGBaseline8Bit:
            ds.BitsAllocated, ds.BitsStored, ds.HighBit = 8, 8, 7
            ds.PixelData = encapsulate([jpeg_baseline(pixels)])
        elif COMPRESSED[syntax] is not None:
            ds.PixelData = encapsulate([COMPRESSED[syntax](pixels)])
        else:
            ds.compress(syntax)
        ds.file_meta.TransferSyntaxUID = syntax
        ds["PixelData"].is_undefined_length = True
        ds.save_as(file)
    array = read_volume(tmp_path / "series").array
    assert array.shape == (*pixels.T.shape, 3)
    lossy = 3 if syntax == JPEGBaseline8Bit else 0
    expected = pixels % 256 if lossy else pixels
    assert np.abs(array[:, :, 1].astype(int) - expected.T).max() <= lossy * 20
    assert np.abs(array[:, :, 1].astype(int) - expected.T).mean() <= lossy


@pytest.mark.parametrize("name", ["JPGExtended.dcm", "JPEG-lossy.dcm"])
def test_jpeg_of_12_bits_as_itk_decodes_it(tmp_path, name):
    ds = pydicom.dcmread(pydicom.data.get_testdata_file(name))
    ds.SOPClassUID, ds.PixelSpacing = CTImageStorage, [1, 1]
    ds.ImagePositionPatient, ds.ImageOrientationPatient = [0, 0, 0], [1, 0, 0, 0, 1, 0]
    ds.save_as(tmp_path / name)
    itk = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(tmp_path / name)))
    array = read_volume(tmp_path / name).array
    assert array.max() > 255
    np.testing.assert_array_equal(array, itk.T)


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

    edit(series, name)
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
