"""Folders of label maps to tables, summary and report."""

import hashlib
import json
import math
import shutil
from pathlib import Path

import nibabel
import numpy as np
import pytest
from oracles.judged_folders import AFFINE, BUNDLE, REFERENCE, judged, refusal, rows_of
from project import SAMPLES, run

from medseg import InputError, evaluate
from medseg.bundle import run_bundle
from medseg.cases.find import find_cases
from medseg.evaluation.folders import find_references
from medseg.evaluation.run import evaluate_cases
from medseg.metrics.comparison import compare
from medseg.metrics.table import DEFAULT_METRICS


def test_tables_and_their_numbers_agree(folders):
    summary = judged(folders, bundle=BUNDLE, references="data/labels")
    assert summary == json.loads((folders / "out/summary.json").read_text())
    rows = rows_of(folders / "out")
    assert [(row["case"], row["name"]) for row in rows][:2] == [("good", "anterior"), ("good", "posterior")]
    for label, entry in summary["labels"].items():
        assert entry["n"] == 2
        for metric in DEFAULT_METRICS:
            told = [float(row[metric]) for row in rows if row["label"] == label]
            assert entry[metric]["mean"] == np.mean(told), metric
            assert entry[metric]["sd"] == np.std(told, ddof=1), metric
            assert entry[metric]["ci95"][0] <= entry[metric]["mean"] <= entry[metric]["ci95"][1], metric
    for metric in DEFAULT_METRICS:
        means = [np.mean([float(r[metric]) for r in rows if r["case"] == case]) for case in ("good", "poor")]
        assert summary["mean"][metric]["mean"] == pytest.approx(np.mean(means)), metric
    front, back = summary["labels"]["1"], summary["labels"]["2"]
    assert front["dice"]["mean"] == pytest.approx((1 + 2 * 8 / (8 + 16)) / 2)
    assert back["hd95_mm"]["mean"] == pytest.approx(math.hypot(8, 9, 8) / 2)
    assert set(summary) >= {"labels", "mean", "definitions", "policy", "provenance", "warnings"}
    assert summary["warnings"] == []
    assert (folders / "out/report.html").stat().st_size > 1000
    assert list((folders / "out/overlays").iterdir())


def test_a_folder_against_its_copy_is_perfect(tmp_path):
    labels = SAMPLES / "mr_held_back/labels"
    shutil.copytree(labels, tmp_path / "copies")
    summary = evaluate(
        tmp_path / "copies", labels, tmp_path / "out", metrics=["boundary_iou", "lesion_f1", "nsd_0.5mm"]
    )
    for metric in (
        "dice",
        "iou",
        "precision",
        "recall",
        "specificity",
        "nsd",
        "nsd_0.5mm",
        "boundary_iou",
        "lesion_f1",
    ):
        assert summary["mean"][metric]["ci95"] == [1, 1], metric
    for metric in ("hd_mm", "hd95_mm", "assd_mm", "masd_mm", "volume_error_ml", "relative_volume_error"):
        assert summary["mean"][metric]["ci95"] == [0, 0], metric


def test_same_inputs_same_bytes_in_any_order(folders):
    cases = [
        {**case, "prediction": str(folders / "predictions" / f"{case['id']}.nii.gz")}
        for case in find_cases(folders / "data", labelled=True)
    ]
    for output, order in (("first", cases), ("again", cases), ("turned", cases[::-1])):
        evaluate_cases(order, folders / output)
    files = [p.relative_to(folders / "first") for p in (folders / "first").rglob("*") if p.is_file()]
    assert len(files) >= 4
    for name in files:
        first = (folders / "first" / name).read_bytes()
        assert first == (folders / "again" / name).read_bytes() == (folders / "turned" / name).read_bytes(), name


@pytest.mark.parametrize("codes", ["LPS", "SRA", "PIR"])
def test_turned_predictions_give_the_same_numbers_to_the_last_digit(folders, codes):
    judged(folders, output="plain")
    for path in (folders / "predictions").iterdir():
        image = nibabel.load(path)
        turn = nibabel.orientations.ornt_transform(
            nibabel.io_orientation(image.affine), nibabel.orientations.axcodes2ornt(codes)
        )
        nibabel.save(image.as_reoriented(turn), path)
    assert f"axes {codes} and RAS); predict on the reference's own image, or give --resample" in refusal(folders)
    summary = judged(folders, resample=True)
    assert summary["resampled"] == ["good", "poor"]
    assert summary["outside_prediction"] == []
    assert "nearest neighbour: good, poor" in summary["warnings"][0]
    assert (folders / "out/cases.csv").read_bytes() == (folders / "plain/cases.csv").read_bytes()
    plain = json.loads((folders / "plain/summary.json").read_text())
    assert summary["labels"] == plain["labels"]


def test_a_prediction_of_a_part_is_background_elsewhere_and_that_is_said(folders, save):
    onto = AFFINE.copy()
    onto[:3, 3] = (2, 0, 0)
    save("predictions/good.nii.gz", REFERENCE[2:], onto)
    summary = judged(folders, resample=True)
    assert summary["resampled"] == summary["outside_prediction"] == ["good"]
    row = rows_of(folders / "out")[0]
    assert float(row["precision"]) == 1
    assert float(row["recall"]) == 0.75
    assert any("beyond the prediction's grid" in warning for warning in summary["warnings"])


def test_a_volume_of_one_slice_is_compared_as_a_plane(save, tmp_path):
    reference, prediction = np.zeros((2, 20, 20, 1), np.uint8)
    reference[2:12, 2:12] = 1
    prediction[2:12, 3:13] = 1
    for name, labels in (("labels/a.nii.gz", reference), ("predictions/a.nii.gz", prediction)):
        save(name, labels, np.diag([0.5, 2, 5, 1.0]))
    evaluate(tmp_path / "predictions", tmp_path / "labels", tmp_path / "out")
    (row,) = rows_of(tmp_path / "out")
    (by_hand,) = compare(prediction[..., 0], reference[..., 0], spacing_mm=(0.5, 2), labels=[1]).values()
    for metric in ("dice", "hd_mm", "hd95_mm", "assd_mm", "nsd"):
        assert float(row[metric]) == by_hand[metric], metric
    assert float(row["volume_ml"]) == pytest.approx(100 * 0.5 * 2 * 5 / 1000)


def test_an_output_that_cannot_be_written_to_is_refused_before_comparing(folders, monkeypatch):
    monkeypatch.setattr("medseg.evaluation.run.compare_case", lambda *_, **__: 1 / 0)
    (folders / "file").write_text("mine")
    for output in ("file", "file/below"):
        with pytest.raises(InputError, match=r"OUTPUT_UNWRITABLE.*is a file"):
            judged(folders, output=output)
    assert (folders / "file").read_text() == "mine"
    monkeypatch.setattr("os.access", lambda *_: False)  # tests may run as root, who may write anywhere
    with pytest.raises(InputError, match=r"OUTPUT_UNWRITABLE.*may not be written to"):
        judged(folders)


def test_bundle_config_and_python_give_the_same_summary(tmp_path, weights):
    (tmp_path / "groups.csv").write_text("case,site\nmr_16,a\nmr_17,a\nmr_18,b\nmr_19,b\n")
    how = {"metrics": ["lesion_f1", "ece"], "hd95": "pooled", "tolerance_mm": 2.0, "show": ["mr_16"]}
    how["groups"] = str(tmp_path / "groups.csv")
    by_config = run_bundle(
        BUNDLE,
        "evaluating",
        dataset_dir=str(SAMPLES / "mr_held_back"),
        subset="all",
        output_dir=str(tmp_path / "out"),
        weights=str(weights),
        device="cpu",
        **how,
    )
    by_python = evaluate(
        tmp_path / "out/predictions", SAMPLES / "mr_held_back", tmp_path / "again", bundle=BUNDLE, **how
    )
    assert by_config == by_python
    assert by_config["labels"]["1"]["ece"]["n"] == 4
    probable = hashlib.sha256((tmp_path / "out/predictions/mr_16.probabilities.npz").read_bytes()).hexdigest()
    assert by_config["provenance"]["sha256"]["mr_16"]["prediction_probabilities"] == probable
    with pytest.raises(InputError, match="CONFIG_BAD_VALUE"):
        run_bundle(BUNDLE, "evaluating", dataset_dir=str(SAMPLES / "mr_held_back"), subset="all", hd95="mean")


def test_an_image_that_cannot_be_read_costs_its_background_alone(tmp_path):
    shutil.copytree(SAMPLES / "mr_held_back/images/mr_19", tmp_path / "series")
    sorted((tmp_path / "series").iterdir())[3].unlink()
    label = str(SAMPLES / "mr_held_back/labels/mr_19.nii.gz")
    case = {"id": "case", "image": str(tmp_path / "series"), "label": label, "prediction": label}
    summary = evaluate_cases([case], tmp_path / "out", names={1: "anterior", 2: "posterior"})
    assert summary["mean"]["dice"]["mean"] == 1
    assert list((tmp_path / "out/overlays").iterdir())


@pytest.mark.parametrize("name", ["{}.nii.gz", "{}_0000.nii.gz"])
def test_images_beside_the_references_stand_behind_the_pictures(folders, name):
    (folders / "data").rename(folders / "nnunet")
    (folders / "nnunet/labels").rename(folders / "nnunet/labelsTr")
    (folders / "nnunet/images").rename(folders / "nnunet/imagesTr")
    for path in list((folders / "nnunet/imagesTr").iterdir()):
        path.rename(path.with_name(name.format(path.name.removesuffix(".nii.gz"))))
    found = find_references(folders / "nnunet/labelsTr")
    assert [Path(case["image"]).name for case in found] == [name.format("good"), name.format("poor")]
    shutil.rmtree(folders / "nnunet/imagesTr")
    (folders / "nnunet/imagesTr").mkdir()
    assert [set(case) for case in find_references(folders / "nnunet/labelsTr")] == [{"id", "label"}] * 2


def test_no_older_report_stays_beside_new_numbers(folders, monkeypatch):
    judged(folders)
    (folders / "predictions/good.nii.gz").unlink()
    monkeypatch.setattr("medseg.evaluation.files.write_report", lambda *_, **__: 1 / 0)  # as if killed there
    with pytest.raises(ZeroDivisionError):
        judged(folders)
    assert json.loads((folders / "out/summary.json").read_text())["mean"]["n"] == 1
    assert len(rows_of(folders / "out")) == 2
    assert not (folders / "out/report.html").exists()


def test_evaluating_folders_starts_no_heavy_library(folders):
    code = (
        "import sys, medseg; medseg.evaluate(*sys.argv[1:]); "
        "assert not {'torch', 'monai', 'matplotlib', 'scipy.stats'} & set(sys.modules)"
    )
    run("-c", code, folders / "predictions", folders / "data", folders / "out")
