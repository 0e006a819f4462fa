"""BIDS trees: one case a subject and session, its label among the derivatives."""

import shutil

import pytest
from oracles.data_sets import bids
from project import code_of

from medseg.cases.find import find_cases


@pytest.fixture
def tree(tmp_path):
    return bids(tmp_path / "tree")


def test_subjects_sessions_and_their_labels(tree):
    cases = find_cases(tree, labelled=True)
    assert [case["id"] for case in cases] == [f"sub-{n:02}_ses-01" for n in range(3)]
    for case in cases:
        assert case["image"].endswith(f"{case['id']}_T1w.nii.gz")
        assert case["label"].endswith(f"{case['id']}_dseg.nii.gz")


def test_every_contrast_that_all_have_is_a_channel(tree):
    for image in list(tree.glob("sub-*/**/*_T1w.nii.gz")):
        shutil.copy(image, image.with_name(image.name.replace("T1w", "FLAIR")))
    cases = find_cases(tree, labelled=True)
    assert [path.rsplit("_", 1)[1] for path in cases[0]["image"]] == ["FLAIR.nii.gz", "T1w.nii.gz"]
    next(iter(tree.glob("sub-00/**/*_FLAIR.nii.gz"))).unlink()
    assert all(case["image"].endswith("_T1w.nii.gz") for case in find_cases(tree))


def test_a_subject_without_label_is_there_to_predict_alone(tree):
    next(iter((tree / "derivatives").rglob("sub-02*_dseg.nii.gz"))).unlink()
    assert len(find_cases(tree, labelled=True)) == 2
    assert len(find_cases(tree)) == 3


def test_two_label_maps_of_one_kind_are_refused(tree):
    (label,) = (tree / "derivatives").rglob("sub-01*_dseg.nii.gz")
    shutil.copy(label, label.with_name(label.name.replace("dseg", "desc-other_dseg")))
    assert code_of(find_cases, tree) == "CASES_SEVERAL_LABELS"


def test_masks_where_there_is_no_segmentation(tree):
    for label in list((tree / "derivatives").rglob("*_dseg.nii.gz")):
        label.rename(label.with_name(label.name.replace("dseg", "label-lesion_mask")))
    assert all("_mask" in case["label"] for case in find_cases(tree, labelled=True))
