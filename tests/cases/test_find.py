"""Cases found in folders of any layout, or refused by name."""

import json
import os
import shutil

import numpy as np
import pytest
import SimpleITK
from project import SAMPLES, code_of

from medseg import inspect
from medseg.cases.find import find_cases
from medseg.errors.exceptions import InputError
from medseg.read.study import read_volume


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


@pytest.fixture
def tree(tmp_path):
    """NIfTI files at several depths, as a study's folder has them."""
    for name in ("pat1/visit1/t1.nii.gz", "pat1/visit2/t1.nii.gz", "pat2/visit1/t1.nii.gz", "top.nii.gz"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(SAMPLES / "mr/images/mr_00.nii.gz", tmp_path / name)
    return tmp_path


def test_images_are_found_at_any_depth(tree):
    found = [case["id"] for case in find_cases(tree)]
    assert found == ["pat1_visit1_t1", "pat1_visit2_t1", "pat2_visit1_t1", "top"]
    assert [case["id"] for case in find_cases(tree, nested=False)] == ["top"]


def test_labels_and_results_in_a_tree_are_no_images(tree):
    (tree / "pat1/visit1").rename(tree / "pat1/images")
    shutil.copytree(tree / "pat1/images", tree / "pat1/labels")
    (tree / "results").mkdir()
    (tree / "results/manifest.jsonl").touch()
    shutil.copy(tree / "top.nii.gz", tree / "results")
    assert [case["id"] for case in find_cases(tree)] == [
        "pat1_images_t1",
        "pat1_visit2_t1",
        "pat2_visit1_t1",
        "top",
    ]


@pytest.mark.parametrize("name", ["UP.NII.GZ", "UP.Nii", "UP.NRRD", "UP.MHA"])
def test_file_names_are_known_in_either_case(tmp_path, name):
    """As systems that write capitals name them; once dropped without a word."""
    image = SimpleITK.GetImageFromArray(np.arange(60, dtype=np.int16).reshape(3, 4, 5))
    for part in ("images", "labels"):
        (tmp_path / part).mkdir()
        file = tmp_path / part / (name if part == "images" else "UP.NII.GZ")
        SimpleITK.WriteImage(image, file.with_name(file.name.lower()))
        file.with_name(file.name.lower()).rename(file)
    (case,) = find_cases(tmp_path, labelled=True)
    assert case["id"] == "UP"
    arrays = [read_volume(case[key]).array for key in ("image", "label")]
    np.testing.assert_array_equal(*arrays)
    assert [row["verdict"] for row in inspect(tmp_path / "images", voxels=True)] == ["ok"]


def test_labels_lie_as_their_images_do(tree, tmp_path):
    data = tmp_path / "data"
    for part in ("images", "labels"):
        shutil.copytree(tree / "pat1", data / part / "pat1")
    assert [case["label"] for case in find_cases(data, labelled=True)] == [
        str(data / f"labels/pat1/visit{n}/t1.nii.gz") for n in (1, 2)
    ]


@pytest.mark.parametrize("kind", ["dangling link", "folder", "pipe"])
def test_what_is_only_called_an_image_is_a_case_that_fails(tmp_path, kind):
    """Once dropped without a word; reading it says what it is, and does not wait for a pipe."""
    path = tmp_path / "case.nii.gz"
    if kind == "dangling link":
        path.symlink_to("nowhere.nii.gz")
    elif kind == "folder":
        path.mkdir()
    else:
        os.mkfifo(path)
    (case,) = find_cases(tmp_path)
    assert case["id"] == "case"
    assert code_of(read_volume, case["image"]) in ("FILE_MISSING", "FILE_UNREADABLE")


def test_an_image_in_a_folder_called_like_it_is_found(tmp_path):
    (tmp_path / "a.nii.gz").mkdir()
    shutil.copy(SAMPLES / "mr/images/mr_00.nii.gz", tmp_path / "a.nii.gz/a.nii.gz")
    assert [case["id"] for case in find_cases(tmp_path)] == ["a.nii.gz_a"]


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="nothing is closed to this user")
def test_a_folder_that_may_not_be_opened_is_no_empty_one(tree):
    (tree / "pat1").chmod(0)
    try:
        assert code_of(find_cases, tree) == "FILE_UNREADABLE"
    finally:
        (tree / "pat1").chmod(0o755)
