"""What SEG and RTSTRUCT take over of their images' headers: nothing invented, names kept."""

import logging
import warnings

import pydicom
import pytest
from oracles.dicom_series import labels_of, pixels, write_series
from project import BUNDLES

from medseg import read_volume
from medseg.bundle.metadata import read_metadata
from medseg.write.dicom_seg import write_dicom_seg
from medseg.write.rtstruct import write_rtstruct

META = read_metadata(BUNDLES / "hippocampus_mr_unet3d")


@pytest.mark.parametrize("write", [write_dicom_seg, write_rtstruct])
def test_what_the_images_lack_stays_empty(write, tmp_path):
    lacking = {"StudyInstanceUID": None, "FrameOfReferenceUID": None, "SliceThickness": None}
    volume = read_volume(write_series(tmp_path / "in", pixels(), **lacking))
    write(tmp_path / "a.dcm", labels_of(volume), volume, META)
    ds = pydicom.dcmread(tmp_path / "a.dcm")
    empty = ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime")
    for name in (*empty, "StudyID", "AccessionNumber", "ReferringPhysicianName"):
        assert name in ds
        assert not ds[name].value, name
    assert not {"InstitutionName", "PatientAge", "StudyDescription", "OperatorsName"} & {
        element.keyword for element in ds if element.value
    }
    write(tmp_path / "b.dcm", labels_of(volume), volume, META)
    again = pydicom.dcmread(tmp_path / "b.dcm")
    assert again.StudyInstanceUID == ds.StudyInstanceUID  # results of one series stay together
    assert again.FrameOfReferenceUID == ds.FrameOfReferenceUID
    assert again.SeriesInstanceUID != ds.SeriesInstanceUID
    assert again.SOPInstanceUID != ds.SOPInstanceUID


@pytest.mark.filterwarnings("ignore:The value length")  # of the series, which is wrong on purpose
@pytest.mark.parametrize("write", [write_dicom_seg, write_rtstruct])
def test_values_that_dicom_forbids_become_empty_without_a_word(write, tmp_path, caplog):
    bad = {
        "PatientBirthDate": "20010231",
        "PatientSex": "SECRET",
        "StudyTime": "half past",
        "StudyDate": "2001.01.31",
        "PatientWeight": "70",
        "PatientAge": "old",
        "PatientName": "Secret without a caret",
        "PatientID": "X" * 65,
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom about what is written here on purpose
        volume = read_volume(write_series(tmp_path / "in", pixels(), **bad))
    with caplog.at_level(logging.DEBUG), warnings.catch_warnings():
        warnings.simplefilter("error")
        write(tmp_path / "a.dcm", labels_of(volume), volume, META)
    assert "ecret" not in caplog.text.lower()
    ds = pydicom.dcmread(tmp_path / "a.dcm")
    assert not any(ds[name].value for name in ("PatientBirthDate", "PatientSex", "StudyTime", "StudyDate"))
    assert "PatientAge" not in ds
    assert (ds.PatientName, ds.PatientID, ds.PatientWeight) == (bad["PatientName"], bad["PatientID"], 70)


@pytest.mark.parametrize("write", [write_dicom_seg, write_rtstruct])
@pytest.mark.parametrize(
    ("character_set", "name"),
    [
        ("ISO_IR 100", "Müller^Jörg"),
        ("ISO_IR 144", "Люкceмбypг"),
        ("ISO_IR 192", "王^小東"),
        (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう"),
        ("ISO 2022 IR 100", "Müller^Jörg"),  # not allowed alone, and common
    ],
)
def test_names_survive_in_every_character_set(write, character_set, name, tmp_path):
    fields = {
        "SpecificCharacterSet": character_set,
        "PatientName": name,
        "PatientID": "é" * ("100" in character_set),
    }
    volume = read_volume(write_series(tmp_path / "in", pixels(), **fields))
    write(tmp_path / "a.dcm", labels_of(volume), volume, META)
    ds = pydicom.dcmread(tmp_path / "a.dcm")
    assert ds.PatientName == name
    assert ds.PatientID == fields["PatientID"]
    assert ds.SpecificCharacterSet == "ISO_IR 192"
