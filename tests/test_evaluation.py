"""Folders of label maps to tables, summary and pictures."""

import csv
import json
import math
import shutil

import numpy as np
import pytest
from conftest import BUNDLES, SAMPLES

from medseg import InputError, evaluate
from medseg.evaluation import evaluate_cases, statistics, summarize
from medseg.metrics import compare


@pytest.fixture
def folders(save, tmp_path):
    """Two cases: one predicted perfectly, one with label 2 missed and label 1 half found."""
    reference = np.zeros((8, 8, 4), np.uint8)
    reference[1:5, 1:3, 1:3] = 1
    reference[5:7, 5:7, 1:3] = 2
    poor = reference.copy()
    poor[1:3] = 0
    poor[poor == 2] = 0
    for name, prediction in (("good", reference), ("poor", poor)):
        save(f"data/images/{name}.nii.gz", reference.astype(np.float32) * 50, np.diag([1, 1, 2, 1.0]))
        save(f"data/labels/{name}.nii.gz", reference, np.diag([1, 1, 2, 1.0]))
        save(f"predictions/{name}.nii.gz", prediction, np.diag([1, 1, 2, 1.0]))
    return tmp_path


def test_tables_pictures_and_their_numbers_agree(folders):
    bundle = BUNDLES / "hippocampus_mr_unet3d"
    summary = evaluate(folders / "predictions", folders / "data/labels", folders / "out", bundle=bundle)
    assert summary == json.loads((folders / "out/summary.json").read_text())
    with (folders / "out/cases.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [(row["case"], row["name"]) for row in rows][:2] == [("good", "anterior"), ("good", "posterior")]
    front = summary["labels"]["1"]
    assert front["name"] == "anterior"
    assert front["n"] == 2
    assert front["dice"]["mean"] == pytest.approx((1 + 2 * 8 / (8 + 16)) / 2)
    by_hand = np.mean([float(row["dice"]) for row in rows if row["label"] == "1"])
    assert front["dice"]["mean"] == pytest.approx(by_hand, abs=1e-6)
    diagonal = math.hypot(8, 8, 8)
    assert summary["labels"]["2"]["hd95_mm"]["mean"] == pytest.approx(diagonal / 2)
    assert set(summary) >= {"labels", "mean", "definitions", "policy"}
    low, high = front["dice"]["ci95"]
    assert low <= front["dice"]["mean"] <= high
    pictures = sorted(path.name for path in (folders / "out/overlays").iterdir())
    assert pictures == ["worst_1_poor.png", "worst_2_good.png"]


def test_references_may_be_a_data_set_and_some_without_prediction_are_named(folders):
    (folders / "predictions/good.nii.gz").unlink()
    summary = evaluate(folders / "predictions", folders / "data", folders / "out")
    assert summary["without_prediction"] == ["good"]
    assert summary["labels"]["1"]["name"] == "1"


def test_wrong_inputs_are_refused_and_nothing_is_written(folders, save):
    bundle = BUNDLES / "spleen_ct_unet3d"

    def code(predictions="predictions", references="data", **keywords):
        with pytest.raises(InputError) as caught:
            evaluate(folders / predictions, folders / references, folders / "out", **keywords)
        assert not (folders / "out").exists()
        return caught.value.code

    assert code(bundle=bundle) == "LABEL_UNKNOWN_ID"
    assert code(bundle=folders) == "BUNDLE_MISSING"
    assert code(predictions="nowhere") == "FILE_MISSING"
    save("predictions/stranger.nii.gz", np.zeros((8, 8, 4), np.uint8))
    assert code() == "CASES_MISSING_LABEL"
    (folders / "predictions/stranger.nii.gz").unlink()
    save("predictions/good.nii.gz", np.zeros((8, 8, 4), np.uint8), np.diag([1, 1, 3, 1.0]))
    assert code() == "GEOMETRY_LABEL_GRID"


def test_a_missed_structure_never_raises_a_mean():
    reference = np.zeros((6, 6), np.uint8)
    reference[2:4, 2:4] = 1
    off_by_one = np.roll(reference, 1, axis=0)
    names = {1: "lesion"}
    rows = [compare(p, reference, spacing_mm=(1, 1), labels=[1]) for p in (off_by_one, off_by_one)]
    missed = [*rows[:1], compare(np.zeros_like(reference), reference, spacing_mm=(1, 1), labels=[1])]
    before, after = summarize(rows, names)["mean"], summarize(missed, names)["mean"]
    assert after["dice"]["mean"] < before["dice"]["mean"]
    assert after["hd95_mm"]["mean"] > before["hd95_mm"]["mean"]
    nothing = np.zeros_like(reference)
    absent = [*rows, compare(nothing, nothing, spacing_mm=(1, 1), labels=[1])]
    entry = summarize(absent, names)["labels"]["1"]
    assert entry["dice"] == summarize(rows, names)["labels"]["1"]["dice"]
    assert (entry["n"], entry["n_excluded"]) == (3, 1)


def test_statistics_of_nothing_are_null_not_zero():
    assert statistics([math.nan]) == {"mean": None, "median": None, "sd": None, "ci95": [None, None]}
    assert statistics([1.0, 3.0])["sd"] == pytest.approx(math.sqrt(2))


def test_samples_against_themselves_are_perfect(tmp_path):
    labels = SAMPLES / "mr_held_back/labels"
    summary = evaluate(labels, labels, tmp_path)
    assert summary["mean"]["dice"]["mean"] == 1
    assert summary["mean"]["hd95_mm"]["mean"] == 0


def test_an_image_that_cannot_be_read_costs_its_background_alone(tmp_path):
    shutil.copytree(SAMPLES / "mr_held_back/images/mr_19", tmp_path / "series")
    sorted((tmp_path / "series").iterdir())[3].unlink()
    label = str(SAMPLES / "mr_held_back/labels/mr_19.nii.gz")
    case = {"id": "case", "image": str(tmp_path / "series"), "label": label, "prediction": label}
    summary = evaluate_cases([case], tmp_path / "out", names={1: "anterior", 2: "posterior"})
    assert summary["mean"]["dice"]["mean"] == 1
    assert list((tmp_path / "out/overlays").iterdir())
