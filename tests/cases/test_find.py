"""Cases found in folders of any layout, or refused by name."""

import json
import shutil

import pytest
import SimpleITK
from project import SAMPLES, code_of

from medseg.cases.find import find_cases
from medseg.errors.exceptions import InputError


def test_images_and_labels_folders():
    cases = find_cases(SAMPLES / "mr", labelled=True)
    assert [case["id"] for case in cases] == [f"mr_{n:02}" for n in range(16)]
    assert all(case["label"].endswith(f"labels/{case['id']}.nii.gz") for case in cases)


def test_dicom_folders_beside_nifti_files():
    cases = find_cases(SAMPLES / "mr_held_back", labelled=True)
    assert [case["image"].rsplit("/", 1)[1] for case in cases][-1] == "mr_19"


def test_one_file_and_one_dicom_folder():
    (case,) = find_cases(SAMPLES / "mr/images/mr_00.nii.gz")
    assert case["id"] == "mr_00"
    assert find_cases(SAMPLES / "mr_held_back/images/mr_19")[0]["id"] == "mr_19"


def test_decathlon_layout_and_its_hidden_files(real_data, tmp_path):
    cases = find_cases(real_data / "Task04_Hippocampus", labelled=True)
    assert len(cases) == 200
    shutil.copytree(SAMPLES / "mr", tmp_path / "task")
    (tmp_path / "task/images/._mr_00.nii.gz").write_bytes(b"macOS")
    assert len(find_cases(tmp_path / "task")) == 16


def test_what_is_wrong_with_a_data_set_is_named(tmp_path):
    assert code_of(find_cases, tmp_path / "nowhere") == "FILE_MISSING"
    assert code_of(find_cases, "") == "FILE_MISSING"  # not the folder one happens to be in
    assert code_of(find_cases, tmp_path) == "CASES_EMPTY"
    shutil.copytree(SAMPLES / "mr", tmp_path / "set")
    (tmp_path / "set/labels/mr_03.nii.gz").unlink()
    with pytest.raises(InputError, match="mr_03"):
        find_cases(tmp_path / "set", labelled=True)
    assert len(find_cases(tmp_path / "set")) == 16
    shutil.copy(tmp_path / "set/images/mr_00.nii.gz", tmp_path / "set/images/mr_00.nii")
    assert code_of(find_cases, tmp_path / "set") == "CASES_DUPLICATE_ID"
    (tmp_path / "dataset.json").write_text(json.dumps({"training": [{"image": "a.nii.gz"}]}))
    assert code_of(find_cases, tmp_path) == "FILE_UNREADABLE"
    (tmp_path / "dataset.json").write_text(json.dumps({"training": [{"image": "a.nii.gz", "label": "b.nii.gz"}]}))
    assert code_of(find_cases, tmp_path) == "FILE_MISSING"


def test_dicom_trees_and_other_formats(tmp_path):
    """As a PACS exports them: patient/study/series, files of any name; beside NIfTI and NRRD."""
    series = SAMPLES / "mr_held_back/images/mr_19"
    for place in ("A/1", "A/2/deep", "B"):
        shutil.copytree(series, tmp_path / place)
    for n, file in enumerate((tmp_path / "A/1").iterdir()):
        file.rename(file.parent / f"IM{n}")
    shutil.copytree(series, tmp_path / "B/below")  # one case with what lies above it
    shutil.copy(SAMPLES / "mr/images/mr_00.nii.gz", tmp_path)
    SimpleITK.WriteImage(SimpleITK.Image(3, 3, 3, SimpleITK.sitkInt16), str(tmp_path / "c.v1.nrrd"))
    assert [case["id"] for case in find_cases(tmp_path)] == ["A_1", "A_2_deep", "B", "c.v1", "mr_00"]
