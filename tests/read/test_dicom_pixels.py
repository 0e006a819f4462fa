"""DICOM pixels: their sign, bits, scaling and compression."""

import base64
import io

import numpy as np
import PIL.Image
import pydicom
import pydicom.data
import pytest
import SimpleITK
from make import write_dicom_series
from oracles.dicom_files import edit_all
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

from medseg import read_volume


def test_rescaled_per_slice_in_float32(series):
    plain = read_volume(series).array
    edit_all(series, lambda n, ds: ds.update({"RescaleSlope": 1 + n, "RescaleIntercept": -1024}))
    volume = read_volume(series)
    assert volume.array.dtype == np.float32
    np.testing.assert_array_equal(volume.array, plain * np.arange(1, 6) - 1024.0)


def test_hounsfield_units_stay_whole_numbers(series):
    plain = read_volume(series).array
    edit_all(series, lambda _, ds: ds.update({"RescaleSlope": "1", "RescaleIntercept": "-1024"}))
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

    edit_all(series, write)
    np.testing.assert_array_equal(read_volume(series).array[:, :, 0], pixels.T)


def test_unsigned_high_bits_and_a_shifted_high_bit(series):
    pixels = np.arange(0, 4032, 96).reshape(7, 6)

    def write(_, ds):
        ds.BitsStored, ds.HighBit = 12, 15
        ds.PixelData = (pixels << 4 | 0x3).astype("<u2").tobytes()

    edit_all(series, write)
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
