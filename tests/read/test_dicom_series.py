"""What goes wrong with DICOM series: told apart, left out or refused by name, never placed wrongly."""

import logging
import shutil

import numpy as np
import pydicom
import pytest
from oracles.dicom_files import code_of, copy_of, edit, files, next_key
from oracles.dicom_series import SERIES_SPACING_MM

from medseg import InputError, read_study, read_volume
from medseg.preprocess.keys import IMAGE
from medseg.read.monai_reader import LoadStudyd


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


def test_two_phases_of_a_tilted_series_are_called_tilted(series):
    """Told apart as those of a straight series are, not taken for slices that lie twice at one place."""
    for n, file in enumerate(files(series)):
        edit(file, ImagePositionPatient=[0, 0.9 * n, 4 * n], AcquisitionNumber=1)
        copy_of(file, f"second_{n}.dcm", AcquisitionNumber=2, PixelData=bytes(84))
    assert code_of(series) == "GEOMETRY_GANTRY_TILT"


@pytest.mark.parametrize(
    ("along_mm", "code"),
    [
        ([0, 4, 8, 14.6, 18.6], "GEOMETRY_MISSING_SLICE"),  # no whole multiple, but wider than both beside it
        ([0, 4, 8, 12, 18.5], "GEOMETRY_MISSING_SLICE"),
        ([0, 4, 8, 13.4, 17.4], "GEOMETRY_UNEVEN_SPACING"),
        ([0, 3, 6, 13, 20], "GEOMETRY_UNEVEN_SPACING"),  # thin slices below, thick ones above
    ],
)
def test_a_distance_that_is_wide_alone_is_a_missing_slice(series, along_mm, code):
    for file, z in zip(files(series), along_mm, strict=True):
        edit(file, ImagePositionPatient=[0, 0, z])
    assert code_of(series) == code


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
    with pytest.raises(InputError, match=r"DICOM_NO_SUCH_SERIES: .* there is MR, PT: .*--modality MR or PT;"):
        read_volume(tmp_path, modality="CT")
    for select in ({"series_uid": "9"}, {"series_uid": "9", "modality": "CT"}):  # not for the modality alone
        with pytest.raises(InputError, match=r"DICOM_NO_SUCH_SERIES: (?!.*--modality)"):
            read_volume(tmp_path, **select)
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
