"""All faults of a data set at once, one a line; nothing is written."""

import json

import nibabel
import numpy as np
import pytest
from make import write_nifti
from oracles.data_sets import images_and_labels, labelled_volume, nnunet_raw

from medseg import InputError, plan

MM = (1.0, 1.0, 1.0)


def faults_of(folder, output, **choices):
    """Return the lines of a refusal."""
    with pytest.raises(InputError) as caught:
        plan(folder, output, device="cpu", **choices)
    assert caught.value.code == "CASES_FAULTY"
    assert not output.exists()
    return str(caught.value).splitlines()[1:]


def test_every_fault_is_named_at_once(tmp_path):
    folder = images_and_labels(tmp_path / "set", cases=9)
    (folder / "dataset.json").write_text(json.dumps({"labels": {"0": "background", "1": "a", "2": "b"}}))
    (image, *_), labels = labelled_volume(20)
    write_nifti(folder / "labels/case_0.nii.gz", labels[:-1], MM)
    write_nifti(folder / "labels/case_1.nii.gz", labels * 3, MM)
    write_nifti(folder / "images/case_2.nii.gz", np.where(image > 150, np.nan, image), MM)
    (folder / "images/case_3.nii.gz").write_bytes((folder / "images/case_4.nii.gz").read_bytes())
    write_nifti(folder / "labels/case_5.nii.gz", labels * 0, MM)
    (folder / "labels/case_6.nii.gz").unlink()
    write_nifti(folder / "labels/case_7.nii.gz", labels * np.float32(0.5), MM)
    (folder / "images/case_8.nii.gz").write_bytes(b"not an image")
    lines = faults_of(folder, tmp_path / "out")
    wanted = {
        "GEOMETRY_LABEL_GRID": "case_0", "LABEL_UNKNOWN_ID": "case_1", "IMAGE_NOT_FINITE": "case_2",
        "CASES_SAME_IMAGE": "case_3", "LABEL_EMPTY": "case_5", "CASES_MISSING_LABEL": "case_6",
        "LABEL_NOT_INTEGER": "case_7", "FILE_UNREADABLE": "case_8",
    }  # fmt: skip
    for code, case in wanted.items():
        assert [line for line in lines if line.startswith(f"  {code}: ") and case in line], (code, lines)
    assert len(lines) == len(wanted)


def test_parts_that_are_not_apart(tmp_path):
    folder = nnunet_raw(tmp_path / "set", channels=("T1",))
    moved = {
        "imagesTr/case_000_0000": "imagesTr/patient1_frame01_0000",
        "labelsTr/case_000": "labelsTr/patient1_frame01",
        "imagesTs/case_004_0000": "imagesTs/patient1_frame09_0000",
    }
    for old, new in moved.items():
        (folder / f"{old}.nii.gz").rename(folder / f"{new}.nii.gz")
    (folder / "imagesTs/case_005_0000.nii.gz").write_bytes((folder / "imagesTr/case_001_0000.nii.gz").read_bytes())
    lines = faults_of(folder, tmp_path / "out")
    assert [line.split(":")[0].strip() for line in lines] == ["CASES_SAME_IMAGE", "CASES_PATIENT_IN_PARTS"]
    assert "case_005 (test)" in lines[0]


def test_a_label_that_no_case_holds_and_ids_with_gaps(tmp_path):
    folder = images_and_labels(tmp_path / "set")
    assert ["LABEL_EMPTY" in line for line in faults_of(folder, tmp_path / "out", labels={1: "a", 2: "b", 3: "c"})]
    for file in (folder / "labels").iterdir():
        volume = nibabel.load(file)
        write_nifti(file, np.asarray(volume.dataobj) * 5, MM)
    (line,) = faults_of(folder, tmp_path / "out")
    assert "LABEL_NOT_CONSECUTIVE" in line


def test_a_missing_channel_is_a_line(tmp_path):
    folder = nnunet_raw(tmp_path / "set")
    (folder / "imagesTr/case_002_0001.nii.gz").unlink()
    (line,) = faults_of(folder, tmp_path / "out")
    assert "FILE_MISSING" in line
    assert "case_002_0001" in line


def test_what_is_right_so_may_be_empty(tmp_path):
    folder = images_and_labels(tmp_path / "set", cases=5)
    (_, labels) = labelled_volume(0)
    write_nifti(folder / "labels/case_0.nii.gz", labels * 0, MM)
    assert "LABEL_EMPTY" in faults_of(folder, tmp_path / "out")[0]
    plan(folder, tmp_path / "out", device="cpu", allow_empty=True)
    assert (tmp_path / "out/configs/metadata.json").is_file()
