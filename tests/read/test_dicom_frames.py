"""Many frames in one DICOM file."""

import copy

import numpy as np
import pydicom
import pytest
from oracles.dicom_files import code_of, edit, files, next_key
from pydicom.dataset import Dataset
from pydicom.uid import (
    EnhancedMRImageStorage,
)

from medseg import read_study, read_volume


@pytest.fixture
def multiframe(series, tmp_path):
    """The series as one enhanced MR object, frames in another order, each with its own slope."""
    headers = [pydicom.dcmread(file) for file in files(series)]
    ds = copy.deepcopy(headers[0])
    for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness"):
        del ds[keyword]
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = EnhancedMRImageStorage
    ds.NumberOfFrames = len(headers)
    shared, orientation, measures = Dataset(), Dataset(), Dataset()
    orientation.ImageOrientationPatient = headers[0].ImageOrientationPatient
    measures.PixelSpacing, measures.SliceThickness = headers[0].PixelSpacing, headers[0].SliceThickness
    shared.PlaneOrientationSequence, shared.PixelMeasuresSequence = [orientation], [measures]
    ds.SharedFunctionalGroupsSequence = [shared]
    ds.PerFrameFunctionalGroupsSequence, pixels = [], []
    for n in (3, 0, 4, 1, 2):
        frame, position, values = Dataset(), Dataset(), Dataset()
        position.ImagePositionPatient = headers[n].ImagePositionPatient
        values.RescaleSlope, values.RescaleIntercept, values.RescaleType = 1 + n, 10, "US"
        frame.PlanePositionSequence, frame.PixelValueTransformationSequence = [position], [values]
        ds.PerFrameFunctionalGroupsSequence.append(frame)
        pixels.append(headers[n].PixelData)
    ds.PixelData = b"".join(pixels)
    path = tmp_path / "multi" / "frame.dcm"
    path.parent.mkdir()
    ds.save_as(path)
    return path


def test_enhanced_multi_frame(multiframe, series, image):
    volume, plain = read_volume(multiframe), read_volume(series)
    np.testing.assert_array_equal(volume.array, image * np.arange(1, 6) + 10.0)
    np.testing.assert_allclose(volume.affine, plain.affine)
    assert volume.frames == (2, 4, 5, 1, 3)


@pytest.mark.parametrize(
    "told_by", [{"TemporalPositionIndex": (1, 2)}, {"DimensionIndexValues": ([1, 1], [1, 2])}], ids=next_key
)
def test_time_points_of_a_multi_frame_file_are_split(multiframe, image, told_by):
    ((keyword, values),) = told_by.items()
    ds = pydicom.dcmread(multiframe)
    second = copy.deepcopy(list(ds.PerFrameFunctionalGroupsSequence))
    for value, groups in zip(values, (ds.PerFrameFunctionalGroupsSequence, second), strict=True):
        for frame in groups:
            content = Dataset()
            setattr(content, keyword, value)
            frame.FrameContentSequence = [content]
    ds.PerFrameFunctionalGroupsSequence.extend(second)
    ds.PixelData, ds.NumberOfFrames = ds.PixelData + bytes(len(ds.PixelData)), 10
    ds.save_as(multiframe)
    first, black = sorted(read_study(multiframe), key=lambda volume: -volume.array.max())
    np.testing.assert_array_equal(first.array, image * np.arange(1, 6) + 10.0)
    assert (black.array == 10).all()
    assert set(first.codes) == {"DICOM_SPLIT"}


def test_multi_frame_without_places_is_refused(multiframe):
    edit(multiframe, NumberOfFrames=4)
    assert code_of(multiframe) == "DICOM_MULTIFRAME"
    ds = pydicom.dcmread(multiframe)
    del ds.PerFrameFunctionalGroupsSequence
    ds.save_as(multiframe)
    assert code_of(multiframe) == "DICOM_MULTIFRAME"
