"""What goes wrong with DICOM series: told apart, left out or refused by name, never placed wrongly."""

import copy
import logging
import shutil

import numpy as np
import pydicom
import pytest
from oracles.dicom_series import SERIES_SPACING_MM
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    BasicTextSRStorage,
    EnhancedMRImageStorage,
    ExplicitVRLittleEndian,
    GrayscaleSoftcopyPresentationStateStorage,
    RTDoseStorage,
    SecondaryCaptureImageStorage,
    generate_uid,
)

from medseg import InputError, read_study, read_volume
from medseg.preprocess.keys import IMAGE
from medseg.read.monai_reader import LoadStudyd
from medseg.read.study import scan


def next_key(fields):
    """Name a parameter by its first key."""
    return next(iter(fields))


def edit(file, **fields):
    ds = pydicom.dcmread(file)
    for name, value in fields.items():
        setattr(ds, name, value)
    ds.save_as(file)


def files(series):
    return sorted(series.iterdir())


def copy_of(file, name, **fields):
    """A copy with an instance UID of its own and these fields changed."""
    target = file.parent / name
    shutil.copy(file, target)
    edit(target, **{"SOPInstanceUID": generate_uid(), **fields})
    return target


def code_of(path) -> str:
    with pytest.raises(InputError) as caught:
        read_study(path)
    assert str(path) in str(caught.value)
    with pytest.raises(InputError) as by_volume:
        read_volume(path)
    assert by_volume.value.code == caught.value.code
    assert {finding.verdict for finding in scan(path)} <= {"refused", "skipped"}
    return caught.value.code


# --- geometry that is refused ---------------------------------------------------------------------------------


def test_a_missing_slice_is_refused_by_every_way_in(series):
    files(series)[2].unlink()
    assert code_of(series) == "GEOMETRY_MISSING_SLICE"
    with pytest.raises(InputError, match="GEOMETRY_MISSING_SLICE"):
        LoadStudyd(IMAGE)({IMAGE: str(series)})


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"ImagePositionPatient": [0, 0, 9]}, "GEOMETRY_UNEVEN_SPACING"),
        ({"ImagePositionPatient": [0, 0.5, 8]}, "GEOMETRY_UNEVEN_SPACING"),
        ({"ImagePositionPatient": [0, 0, 4]}, "GEOMETRY_DUPLICATE_SLICE"),
        ({"ImageOrientationPatient": [1, 0, 0, 0, 0.8, 0.6]}, "GEOMETRY_MISSING_SLICE"),
        ({"ImageOrientationPatient": [1, 0, 0, 0, 0.9998, 0.02]}, "GEOMETRY_MIXED_ORIENTATION"),
        ({"ImageOrientationPatient": [1, 0, 0, 0, 1.1, 0]}, "GEOMETRY_BAD_AFFINE"),
        ({"ImageOrientationPatient": [1, 0, 0, 1, 0, 0]}, "GEOMETRY_BAD_AFFINE"),
        ({"PixelSpacing": [1, 1]}, "GEOMETRY_MIXED_SIZES"),
        ({"PixelSpacing": [0, 2]}, "GEOMETRY_BAD_AFFINE"),
        ({"PixelSpacing": None}, "GEOMETRY_MISSING_POSITION"),
        ({"ImagePositionPatient": None}, "GEOMETRY_MISSING_POSITION"),
        ({"ImagePositionPatient": [0, 0]}, "GEOMETRY_MISSING_POSITION"),
        ({"ImageOrientationPatient": None}, "GEOMETRY_MISSING_POSITION"),
        ({"Rows": 0}, "IMAGE_EMPTY"),
        ({"Rows": 70}, "FILE_TRUNCATED"),
        ({"BitsStored": 17}, "DICOM_PIXELS_UNREADABLE"),
        ({"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB"}, "IMAGE_NOT_SCALAR"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "IMAGE_NOT_SCALAR"),
    ],
)
def test_one_bad_slice_refuses_the_series(series, fields, code):
    edit(files(series)[2], **fields)
    assert code_of(series) == code


def test_a_mosaic_is_no_slice(series):
    for file in files(series):
        edit(file, ImageType=["ORIGINAL", "PRIMARY", "M", "ND", "MOSAIC"])
    assert code_of(series) == "DICOM_MOSAIC"


@pytest.mark.parametrize("degrees", [0.2, 5, 20])
def test_gantry_tilt_is_refused(series, degrees):
    for n, file in enumerate(files(series)):
        edit(file, ImagePositionPatient=[0, round(4 * n * np.tan(np.radians(degrees)), 6), 4 * n])
    assert code_of(series) == "GEOMETRY_GANTRY_TILT"


def test_positions_rounded_to_a_tenth_are_read_and_said(series, image):
    for n, file in enumerate(files(series)):
        edit(file, ImagePositionPatient=[0, 0, 4 * n + (0.06 if n == 2 else 0)])
    volume = read_volume(series)
    assert volume.codes == ("GEOMETRY_ROUNDED_POSITIONS",)
    np.testing.assert_array_equal(volume.array, image)


def test_real_hazards_are_refused(real_data):
    assert code_of(real_data / "dicom/hazards/gantry_tilt") == "GEOMETRY_GANTRY_TILT"
    assert code_of(real_data / "dicom/hazards/slice_increment") == "GEOMETRY_MISSING_SLICE"


def test_a_single_slice_says_so(series):
    for file in files(series)[1:]:
        file.unlink()
    volume = read_volume(series)
    assert volume.codes == ("GEOMETRY_SINGLE_SLICE",)
    np.testing.assert_allclose(volume.spacing_mm, SERIES_SPACING_MM)


# --- several volumes ------------------------------------------------------------------------------------------


def test_identical_slices_are_dropped_and_said(series, image):
    shutil.copy(files(series)[1], series / "again.dcm")
    copy_of(files(series)[3], "new_uid.dcm", InstanceNumber=77, AcquisitionNumber=2)
    volume = read_volume(series)
    assert volume.codes == ("DICOM_DUPLICATE_DROPPED",)
    assert len(volume.source) == 5
    np.testing.assert_array_equal(volume.array, image)


def test_different_slices_at_one_position_are_refused(series):
    again = copy_of(files(series)[1], "again.dcm")
    edit(again, PixelData=bytes(84))
    assert code_of(series) == "GEOMETRY_DUPLICATE_SLICE"


@pytest.mark.parametrize(
    ("keyword", "values"),
    [
        ("EchoTime", (2.5, 5.0)),
        ("ImageType", (["ORIGINAL", "PRIMARY", "M"], ["ORIGINAL", "PRIMARY", "P"])),
        ("TemporalPositionIdentifier", (1, 2)),
        ("AcquisitionNumber", (1, 2)),
        ("DiffusionBValue", (0.0, 1000.0)),
        ("AcquisitionTime", ("100000", "110000")),
    ],
)
def test_echoes_phases_and_time_points_are_split(series, image, keyword, values):
    for n, file in enumerate(files(series)):
        ds = pydicom.dcmread(file)
        second = copy_of(file, f"second_{n}.dcm", PixelData=(np.frombuffer(ds.PixelData, "<u2") + 1000).tobytes())
        edit(file, **{keyword: values[0]})
        edit(second, **{keyword: values[1]})
    volumes = sorted(read_study(series), key=lambda volume: volume.array.max())
    assert [volume.codes for volume in volumes] == [("DICOM_SPLIT",)] * 2
    np.testing.assert_array_equal(volumes[0].array, image)
    np.testing.assert_array_equal(volumes[1].array, image + 1000)


def test_a_cine_is_split_by_each_slice_s_own_times(series, image):
    for n, file in enumerate(files(series)):
        for phase in (1, 2):
            pixels = np.frombuffer(pydicom.dcmread(file).PixelData, "<u2") + 1000 * phase
            copy_of(file, f"{n}_{phase}.dcm", PixelData=pixels.tobytes(), TriggerTime=100.0 * phase + n)
        edit(file, TriggerTime=3.0 + n)
    for phase, volume in enumerate(sorted(read_study(series), key=lambda volume: volume.array.max())):
        np.testing.assert_array_equal(volume.array, image + 1000 * phase)


@pytest.mark.parametrize(
    "fields",
    [
        {"SeriesInstanceUID": "1.2.3"},
        {"FrameOfReferenceUID": "1.2.3"},
        {"EchoTime": 7},
        {"SeriesNumber": 9},
        {"ImageOrientationPatient": [0, 1, 0, 0, 0, -1]},
        {"PixelSpacing": [1.5, 1]},
    ],
    ids=next_key,
)
def test_merged_series_are_read_apart(series, image, fields):
    """The second one lies between the slices of the first, so that together they would look even."""
    for n, file in enumerate(files(series)):
        ds = pydicom.dcmread(file)
        position = [-4 * n, 0, 2] if "ImageOrientationPatient" in fields else [0, 0, 4 * n + 2]
        pixels = (np.frombuffer(ds.PixelData, "<u2") + 1000).tobytes()
        copy_of(file, f"second_{n}.dcm", ImagePositionPatient=position, PixelData=pixels, **fields)
    volumes = sorted(read_study(series), key=lambda volume: volume.array.max())
    assert len(volumes) == 2
    np.testing.assert_array_equal(volumes[0].array, image)
    assert set(volumes[1].array.ravel()) == set(image.ravel() + 1000)
    with pytest.raises(InputError, match="DICOM_SEVERAL_SERIES"):
        read_volume(series)


@pytest.mark.parametrize("marked", [True, False])
def test_a_scout_among_the_slices_is_left_out(series, image, marked):
    fields = {"ImageOrientationPatient": [1, 0, 0, 0, 0, -1]}
    if marked:
        fields = {"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}
    copy_of(files(series)[0], "scout.dcm", ImagePositionPatient=[5, 5, 90], **fields)
    volume = read_volume(series)
    assert volume.codes == ("DICOM_SCOUT",)
    np.testing.assert_array_equal(volume.array, image)


def test_scouts_alone_are_no_volume(series):
    for file in files(series):
        edit(file, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    assert code_of(series) == "DICOM_SCOUT"


def test_a_volume_is_named_never_the_first(series, tmp_path):
    """Nested folders, two series; one of them a PET."""
    for n, file in enumerate(files(series)):
        edit(file, SeriesDescription="T1 sagittal")
        (series / "deep" / "er").mkdir(parents=True, exist_ok=True)
        other = copy_of(file, f"deep/er/{n}", SeriesInstanceUID="1.2.3", SeriesDescription="PET AC", Modality="PT")
        assert other.is_file()
    assert len(read_study(tmp_path)) == 2
    with pytest.raises(InputError, match="DICOM_SEVERAL_SERIES"):
        read_volume(tmp_path)
    for select in ({"series_uid": "1.2.3"}, {"modality": "PT"}, {"description": "pet*"}):
        assert read_volume(tmp_path, **select).series_uid == "1.2.3"
        assert read_volume(tmp_path, **select).modality == "PT"
    with pytest.raises(InputError, match="DICOM_NO_SUCH_SERIES"):
        read_volume(tmp_path, modality="CT")
    with pytest.raises(InputError, match="DICOM_SEVERAL_SERIES"):
        read_volume(tmp_path, description="*")


def test_a_refused_series_is_no_reason_to_take_another(series, tmp_path, caplog):
    shutil.copytree(series, tmp_path / "second")
    for file in files(tmp_path / "second"):
        edit(file, SeriesInstanceUID="1.2.3")
    files(tmp_path / "second")[2].unlink()
    with pytest.raises(InputError, match="DICOM_SEVERAL_SERIES"):
        read_volume(tmp_path)
    with caplog.at_level(logging.WARNING):
        assert len(read_study(tmp_path)) == 1
    assert "GEOMETRY_MISSING_SLICE" in caplog.text


# --- what is not a volume -------------------------------------------------------------------------------------


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


# --- DICOMDIR and multi-frame ---------------------------------------------------------------------------------


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


# --- copies ---------------------------------------------------------------------------------------------------


def multi_band(series):
    """Give the slices times as multi-band EPI has them: acquired in two interleaved packs."""
    for n, file in enumerate(files(series)):
        edit(file, AcquisitionTime=f"1200{n % 2:02}.00", AcquisitionNumber=1 + n % 2)


@pytest.mark.parametrize("which", range(5))
@pytest.mark.parametrize("made", [shutil.copy, lambda file, target: copy_of(file, target.name)])
def test_a_slice_that_is_there_twice_cuts_no_volume_apart(series, image, which, made):
    multi_band(series)
    file = files(series)[which]
    made(file, file.with_name("copy.dcm"))
    (volume,) = read_study(series)
    np.testing.assert_array_equal(volume.array, image)
    assert volume.codes == ("DICOM_DUPLICATE_DROPPED",)


@pytest.mark.parametrize("trait", ["AcquisitionNumber", "ImageType", "TemporalPositionIdentifier"])
def test_parts_with_other_positions_are_no_volumes_of_their_own(series, trait):
    """The last slice comes a second time with other pixels: nothing says which of the two is meant."""
    for n, file in enumerate(files(series)):
        edit(file, **{trait: ["ORIGINAL", "PRIMARY", "AB"[n % 2]] if trait == "ImageType" else 1 + n % 2})
    target = copy_of(files(series)[4], "other.dcm")
    ds = pydicom.dcmread(target)
    ds.PixelData = bytes(len(ds.PixelData))
    ds.save_as(target)
    assert code_of(series) == "GEOMETRY_DUPLICATE_SLICE"
