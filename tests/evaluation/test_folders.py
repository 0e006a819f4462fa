"""Which files of two folders belong together, and what is refused by name."""

import json
import os
import shutil

import numpy as np
import pytest
from oracles.judged_folders import AFFINE, judged, refusal, rows_of
from project import BUNDLES, SAMPLES, code_of

from medseg import InputError, evaluate
from medseg.evaluation.run import evaluate_cases


def test_references_without_prediction_are_named(folders):
    (folders / "predictions/good.nii.gz").unlink()
    summary = judged(folders)
    assert summary["without_prediction"] == ["good"]
    assert summary["labels"]["1"]["name"] == "1"
    assert summary["labels"]["1"]["dice"]["ci95"] == [None, None]
    assert summary["absent_labels"] == {"references": [], "predictions": ["2"]}
    assert ["good" in warning for warning in summary["warnings"]] == [True, False]
    assert "labels that no prediction holds: 2" in summary["warnings"][1]


def test_wrong_inputs_are_refused_and_nothing_is_written(folders, save):
    assert "LABEL_UNKNOWN_ID" in refusal(folders, bundle=BUNDLES / "spleen_ct_unet3d")
    assert "BUNDLE_MISSING" in refusal(folders, bundle=folders)
    assert "FILE_MISSING" in refusal(folders, predictions="nowhere")
    save("predictions/stranger.nii.gz", np.zeros((8, 8, 4), np.uint8))
    assert refusal(folders).startswith("CASES_MISSING_LABEL")
    assert refusal(folders).endswith("; add it, or take the prediction out")
    (folders / "predictions/stranger.nii.gz").unlink()
    save("predictions/good.nii.gz", np.full((8, 9, 4), 0.5, np.float32), AFFINE)
    assert "LABEL_NOT_INTEGER" in refusal(folders)
    for name in ("data/labels/good.nii.gz", "data/labels/poor.nii.gz", "predictions/good.nii.gz"):
        save(name, np.zeros((8, 9, 4), np.uint8), AFFINE)
    save("predictions/poor.nii.gz", np.zeros((8, 9, 4), np.uint8), AFFINE)
    assert "no label is in any" in refusal(folders)


def test_one_error_names_every_case_with_a_problem(folders, save):
    for number in range(9):
        shape = (8, 9, 5) if number % 2 else (8, 9, 4)
        save(f"predictions/case_{number}.nii.gz", np.ones(shape, np.uint8), AFFINE)
        save(f"data/images/case_{number}.nii.gz", np.ones((8, 9, 4), np.float32), AFFINE)
        save(f"data/labels/case_{number}.nii.gz", np.ones((8, 9, 4), np.uint8), AFFINE)
    (folders / "predictions/case_8.nii.gz").write_bytes(b"no image")
    told = refusal(folders)
    assert told.startswith("GEOMETRY_LABEL_GRID: 5 of 11 cases cannot be compared")
    assert "case_1: prediction and reference lie on different grids (shapes (8, 9, 5) and (8, 9, 4)" in told
    assert "--resample" in told
    assert all(f"case_{number} (GEOMETRY_LABEL_GRID)" in told for number in (3, 5, 7))
    assert "case_8 (FILE_UNREADABLE)" in told


def test_output_may_be_a_folder_with_images_far_below(folders):
    (folders / "project/studies/mr").mkdir(parents=True)
    shutil.copytree(SAMPLES / "mr_held_back/images/mr_19", folders / "project/studies/mr/series")
    assert judged(folders, output="project")["mean"]["n"] == 2
    with pytest.raises(InputError, match="OUTPUT comes last"):
        judged(folders, output="project/studies/mr")


def test_output_must_come_last(folders):
    told = []
    for output in ("data", "data/labels", "predictions"):
        before = sorted((folders / output).rglob("*"))
        with pytest.raises(InputError, match=r"CONFIG_BAD_VALUE: .*OUTPUT comes last") as caught:
            judged(folders, references="data/labels", output=output)
        told.append(str(caught.value))
        assert sorted((folders / output).rglob("*")) == before
    assert "good.nii.gz, poor.nii.gz" in told[0]
    (folders / "predictions/summary.json").write_text("{}")  # nnU-Net's own, beside its predictions
    with pytest.raises(InputError, match="OUTPUT comes last"):
        judged(folders, output="predictions")
    assert (folders / "predictions/summary.json").read_text() == "{}"
    judged(folders)
    judged(folders)  # a folder that was evaluated into
    (folders / "empty").mkdir()
    judged(folders, output="empty")


def test_two_cases_of_one_name_are_refused(folders):
    """Hashes, subgroups and pictures go by the name: the second would take the first one's place."""
    cases = [
        {
            "id": "same",
            "label": str(folders / f"data/labels/{n}.nii.gz"),
            "prediction": str(folders / f"predictions/{n}.nii.gz"),
        }
        for n in ("good", "poor")
    ]
    with pytest.raises(InputError, match="CASES_DUPLICATE_ID: several cases are called same"):
        evaluate_cases(cases, folders / "out")
    assert not (folders / "out").exists()


def test_what_nnunet_leaves_beside_its_predictions_is_no_data_set(folders):
    plain = judged(folders, output="plain")
    (folders / "predictions/dataset.json").write_text('{"labels": {"background": 0}, "numTraining": 2}')
    (folders / "predictions/plans.json").write_text("{}")
    assert judged(folders) == plain


def test_any_file_name_is_a_case(tmp_path):
    label = (SAMPLES / "mr_held_back/labels/mr_16.nii.gz").read_bytes()
    names = [b"caf\xe9", 'Müller, "x" <b>&;\''.encode(), b"=1+2 {{ 7*7 }}", b"a\nb"]
    for folder in ("predictions", "labels"):
        (tmp_path / folder).mkdir()
        for name in names:
            (tmp_path / folder / f"{os.fsdecode(name)}.nii.gz").write_bytes(label)
    summary = evaluate(tmp_path / "predictions", tmp_path / "labels", tmp_path / "out")
    cases = {"caf\\udce9", *(name.decode() for name in names[1:])}
    assert set(summary["provenance"]["sha256"]) == {row["case"] for row in rows_of(tmp_path / "out")} == cases
    assert summary == json.loads((tmp_path / "out/summary.json").read_text(encoding="utf-8"))
    assert "<b>&;" not in (tmp_path / "out/report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["summary.json", "cases.csv", "report.html"])
def test_a_file_of_another_program_is_not_replaced(folders, name):
    """nnU-Net leaves a summary.json beside its predictions."""
    (folders / "out").mkdir()
    (folders / "out" / name).write_text('{"mean": 1}')
    assert code_of(judged, folders) == "OUTPUT_WOULD_OVERWRITE"
    assert (folders / "out" / name).read_text() == '{"mean": 1}'


def test_overlays_that_no_evaluation_wrote_are_not_deleted(folders):
    """An evaluation takes its earlier pictures away, by their names."""
    picture = folders / "out/overlays/worst_1_mine.png"
    picture.parent.mkdir(parents=True)
    picture.write_bytes(b"mine")
    assert code_of(judged, folders) == "OUTPUT_WOULD_OVERWRITE"
    assert picture.read_bytes() == b"mine"


@pytest.mark.parametrize("references", ["data", "data/labels"])
def test_references_are_no_predictions(folders, references):
    """Dice 1 for each case, without a word."""
    (folders / "link").symlink_to("data/labels")
    for predictions in ("data/labels", "link"):
        told = refusal(folders, predictions=predictions, references=references)
        assert told.startswith("CONFIG_BAD_VALUE: predictions and references are the same folder")
        assert refusal(folders, references=references, compare_with=folders / predictions) == told


@pytest.mark.parametrize("where", ["predictions", "data/labels", "data/images"])
def test_an_evaluation_is_not_written_among_what_it_reads(folders, where):
    judged(folders)  # what would make the folder look like an evaluation's
    for name in ("summary.json", "cases.csv"):
        shutil.copy(folders / "out" / name, folders / where)
    before = sorted(folders.rglob("*"))
    assert code_of(judged, folders, output=where) == "OUTPUT_WOULD_OVERWRITE"
    assert sorted(folders.rglob("*")) == before
