"""nnU-Net's raw form: one file a channel, found the same way to train, to predict and to inspect."""

import json
import shutil

from oracles.data_sets import images_and_labels, nnunet_raw
from project import code_of

from medseg import inspect
from medseg.cases.find import find_cases, list_cases


def test_each_case_has_its_channels_in_order(tmp_path):
    cases = find_cases(nnunet_raw(tmp_path), labelled=True)
    assert [case["id"] for case in cases] == [f"case_{n:03}" for n in range(4)]
    for case in cases:
        assert [path.rsplit("/", 1)[1] for path in case["image"]] == [
            f"{case['id']}_000{n}.nii.gz" for n in (0, 1)
        ]
        assert case["label"].endswith(f"labelsTr/{case['id']}.nii.gz")


def test_one_channel_is_one_path(tmp_path):
    cases = find_cases(nnunet_raw(tmp_path, channels=("T1",)), labelled=True)
    assert cases[0]["image"].endswith("imagesTr/case_000_0000.nii.gz")


def test_what_is_predicted_and_inspected_is_found_alike(tmp_path):
    folder = nnunet_raw(tmp_path / "set")
    assert [case["id"] for case in find_cases(folder)] == [f"case_{n:03}" for n in range(6)]
    test = find_cases(folder / "imagesTs")
    assert [(case["id"], len(case["image"])) for case in test] == [("case_004", 2), ("case_005", 2)]
    assert {row["case"] for row in inspect(folder) if row["case"]} == {case["id"] for case in find_cases(folder)}
    shutil.copytree(folder / "imagesTs", tmp_path / "elsewhere")
    assert len(find_cases(tmp_path / "elsewhere")) == 4  # nothing says that they are channels
    assert find_cases(tmp_path / "elsewhere", channels=2)[0]["id"] == "case_004"


def test_label_maps_called_by_numbers_stay_cases(tmp_path):
    folder = nnunet_raw(tmp_path)
    (folder / "labelsTr/case_000.nii.gz").rename(folder / "labelsTr/case_0000.nii.gz")
    assert "case_0000" in {case["id"] for case in find_cases(folder / "labelsTr")}


def test_a_channel_that_is_missing_is_named(tmp_path):
    folder = nnunet_raw(tmp_path)
    (folder / "imagesTr/case_002_0001.nii.gz").unlink()
    assert code_of(find_cases, folder) == "FILE_MISSING"
    (case,) = (case for case in list_cases(folder, whole=False) if case["id"] == "case_002")
    assert case["image"][1].endswith("imagesTr/case_002_0001.nii.gz")


def test_nnunets_list_of_files(tmp_path):
    folder = nnunet_raw(tmp_path)
    listing = json.loads((folder / "dataset.json").read_text())
    names = [f"imagesTr/case_000_000{n}.nii.gz" for n in (0, 1)]
    listing["dataset"] = {"first": {"images": names, "label": "labelsTr/case_000.nii.gz"}}
    (folder / "dataset.json").write_text(json.dumps(listing))
    (case,) = find_cases(folder, labelled=True)
    assert (case["id"], len(case["image"])) == ("first", 2)


def test_a_listing_without_images_describes_the_folders(tmp_path):
    folder = images_and_labels(tmp_path)
    (folder / "dataset.json").write_text('{"labels": {"0": "background", "1": "a", "2": "b"}}')
    assert len(find_cases(folder, labelled=True)) == 4
