"""Finding, splitting and checking cases."""

import json
import shutil

import numpy as np
import pytest
import SimpleITK
from conftest import SAMPLES
from hypothesis import given
from hypothesis import strategies as st

from medseg.cases.checks import check_cases
from medseg.cases.find import find_cases
from medseg.cases.splits import choose_cases, load_or_make_split, split_cases
from medseg.errors.exceptions import InputError


def code_of(function, *arguments, **keywords) -> str:
    with pytest.raises(InputError) as caught:
        function(*arguments, **keywords)
    return caught.value.code


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


def test_bad_labels_are_found_before_training(save, tmp_path):
    image = save("set/images/a.nii.gz", np.zeros((4, 5, 6), np.float32))
    label = save("set/labels/a.nii.gz", np.zeros((4, 5, 6), np.uint8))
    cases = find_cases(tmp_path / "set", labelled=True)
    check_cases(cases, [0, 1])
    shifted = np.eye(4)
    shifted[0, 3] = 0.5
    for code, array, affine in [
        ("LABEL_UNKNOWN_ID", np.full((4, 5, 6), 9, np.uint8), None),
        ("LABEL_NOT_INTEGER", np.full((4, 5, 6), 0.5, np.float32), None),
        ("GEOMETRY_LABEL_GRID", np.zeros((4, 5, 7), np.uint8), None),
        ("GEOMETRY_LABEL_GRID", np.zeros((4, 5, 6), np.uint8), shifted),
    ]:
        save("set/labels/a.nii.gz", array, affine)
        assert code_of(check_cases, cases, [0, 1]) == code
    label.write_bytes(b"no gzip")
    assert code_of(check_cases, cases, [0, 1]) == "FILE_UNREADABLE"
    image.write_bytes(b"")
    assert code_of(check_cases, cases, [0, 1]) == "FILE_TRUNCATED"


@given(
    names=st.sets(st.text(min_size=1, max_size=5), min_size=5, max_size=40),
    seed=st.integers(0, 100),
    shares=st.tuples(st.floats(0, 0.4), st.floats(0, 0.3)),
)
def test_a_split_is_a_partition_that_does_not_depend_on_order(names, seed, shares):
    cases = [{"id": name, "image": name} for name in names]
    validation, test = shares
    split = split_cases(cases, seed=seed, validation=validation, test=test)
    assert sorted(name for part in split.values() for name in part) == sorted(names)
    assert split == split_cases(cases[::-1], seed=seed, validation=validation, test=test)
    assert split["training"]
    assert bool(split["validation"]) == (validation > 0)


def test_the_split_beside_a_run_is_reused(tmp_path):
    cases = find_cases(SAMPLES / "mr")
    path = tmp_path / "split.json"
    split = load_or_make_split(path, cases, seed=1, validation=0.25, test=0.25)
    assert json.loads(path.read_text())["seed"] == 1
    assert load_or_make_split(path, cases, seed=2, validation=0.5, test=0.0) == split
    assert [case["id"] for case in choose_cases(cases, split, "test")] == split["test"]
    assert choose_cases(cases, split, "all") == cases
    assert code_of(choose_cases, cases, split, "tset") == "CONFIG_BAD_VALUE"
    assert code_of(choose_cases, cases, {"test": []}, "test") == "CASES_EMPTY"
    assert code_of(load_or_make_split, path, cases[:3], seed=1) == "CASES_NOT_IN_DATASET"
    path.write_text("[]")
    assert code_of(load_or_make_split, path, cases, seed=1) == "FILE_UNREADABLE"


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
