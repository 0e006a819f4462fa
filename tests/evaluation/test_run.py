"""Folders of label maps to tables, summary and report."""

import csv
import hashlib
import json
import math
import os
import shutil
from pathlib import Path

import nibabel
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from project import BUNDLES, SAMPLES, run

from medseg import InputError, evaluate
from medseg.bundle.open import run_bundle
from medseg.cases.find import find_cases
from medseg.evaluation.files import model_names
from medseg.evaluation.folders import find_references
from medseg.evaluation.run import evaluate_cases
from medseg.evaluation.summary import over_labels, summarize
from medseg.metrics.comparison import compare
from medseg.metrics.table import DEFAULT_METRICS, HD95_DEFINITIONS, METRICS, lower_is_better

BUNDLE = BUNDLES / "hippocampus_mr_unet3d"
AFFINE = np.diag([1, 1, 2, 1.0])
REFERENCE = np.zeros((8, 9, 4), np.uint8)
REFERENCE[1:5, 1:3, 1:3] = 1
REFERENCE[5:7, 5:7, 1:3] = 2
POOR = REFERENCE.copy()
POOR[1:3] = 0
POOR[POOR == 2] = 0


@pytest.fixture
def folders(save, tmp_path):
    """Two cases: one predicted perfectly, one with label 2 missed and label 1 half found."""
    for name, prediction in (("good", REFERENCE), ("poor", POOR)):
        save(f"data/images/{name}.nii.gz", REFERENCE.astype(np.float32) * 50, AFFINE)
        save(f"data/labels/{name}.nii.gz", REFERENCE, AFFINE)
        save(f"predictions/{name}.nii.gz", prediction, AFFINE)
    return tmp_path


def judged(folders, *, predictions="predictions", references="data", output="out", **how):
    return evaluate(folders / predictions, folders / references, folders / output, **how)


def rows_of(folder):
    with (folder / "cases.csv").open() as stream:
        return list(csv.DictReader(stream))


def refusal(*arguments, **how):
    with pytest.raises(InputError) as caught:
        judged(*arguments, **how)
    assert not (arguments[0] / how.get("output", "out")).exists()
    return str(caught.value)


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
    assert "CASES_MISSING_LABEL" in refusal(folders)
    (folders / "predictions/stranger.nii.gz").unlink()
    save("predictions/good.nii.gz", np.full((8, 9, 4), 0.5, np.float32), AFFINE)
    assert "LABEL_NOT_INTEGER" in refusal(folders)
    for name in ("data/labels/good.nii.gz", "data/labels/poor.nii.gz", "predictions/good.nii.gz"):
        save(name, np.zeros((8, 9, 4), np.uint8), AFFINE)
    save("predictions/poor.nii.gz", np.zeros((8, 9, 4), np.uint8), AFFINE)
    assert "no label is in any" in refusal(folders)


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"metrics": ["dicee"]}, "dicee"),
        ({"hd95": "mean"}, "directed-max, area-weighted, pooled"),
        ({"tolerance_mm": -1.0}, "0 or more"),
        ({"tolerance_mm": "wide"}, "wide"),
        ({"tolerance_mm": math.nan}, "0 or more"),
        ({"tolerance_mm": {1: 1.0}}, "label 2"),
        ({"tolerance_mm": {}}, "0 or more"),
        ({"show": ["nobody"]}, "nobody"),
    ],
)
def test_wrong_settings_are_refused_by_name(folders, how, said):
    told = refusal(folders, **how)
    assert told.startswith("CONFIG_BAD_VALUE: ")
    assert said in told


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


def test_a_tolerance_of_zero_is_one(folders):
    assert judged(folders, tolerance_mm=0, metrics=["nsd_0mm"])["policy"]["tolerance_mm"] == 0
    assert all(row["nsd"] == row["nsd_0mm"] for row in rows_of(folders / "out"))


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


def test_a_folder_against_itself_is_perfect(tmp_path):
    labels = SAMPLES / "mr_held_back/labels"
    summary = evaluate(labels, labels, tmp_path / "out", metrics=["boundary_iou", "lesion_f1", "nsd_0.5mm"])
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


MASKS = st.integers(0, 10**6).map(lambda seed: np.random.default_rng(seed).integers(0, 3, (4, 5, 3)))
JUDGED = tuple(name for name in METRICS if lower_is_better(name) is not None and name not in ("ece", "cldice"))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(MASKS, MASKS), min_size=1, max_size=3), st.sampled_from(HD95_DEFINITIONS))
def test_a_missed_structure_never_improves_any_metric_s_mean(pairs, hd95):
    def means(predictions):
        compared = [
            compare(p, r, spacing_mm=(1, 2, 0.5), labels=(1, 2), metrics=JUDGED, hd95=hd95)
            for p, (_, r) in zip(predictions, pairs, strict=True)
        ]
        values = np.array([[[case[i][m] for m in JUDGED] for i in (1, 2)] for case in compared])
        summary = summarize(values, {1: "one", 2: "two"}, JUDGED)
        return [summary["labels"]["1"], summary["mean"]]

    found = [p for p, _ in pairs]
    missed = [np.where(found[0] == 1, 0, found[0]), *found[1:]]
    for before, after in zip(means(found), means(missed), strict=True):
        for metric in JUDGED:
            if before[metric]["mean"] is None:
                continue
            worse = after[metric]["mean"] - before[metric]["mean"]
            assert (worse if lower_is_better(metric) else -worse) >= -1e-12, metric


def test_what_is_left_out_of_a_mean_is_counted_beside_it(folders, save):
    save("data/images/without.nii.gz", np.ones((8, 9, 4), np.float32), AFFINE)
    for name in ("data/labels/without.nii.gz", "predictions/without.nii.gz"):
        save(name, np.where(REFERENCE == 2, 0, REFERENCE), AFFINE)
    summary = judged(folders)
    back = summary["labels"]["2"]
    assert (back["n"], back["n_excluded"]) == (3, 1)
    assert (back["dice"]["mean"], back["dice"]["n"], back["dice"]["n_excluded"]) == (0.5, 2, 1)
    assert (back["volume_ml"]["n"], back["volume_ml"]["n_excluded"]) == (3, 0)
    row = next(row for row in rows_of(folders / "out") if (row["case"], row["label"]) == ("without", "2"))
    assert (row["dice"], row["hd95_mm"], row["volume_ml"]) == ("", "", "0.0")


def test_labels_found_case_by_case_give_what_all_of_them_give(folders, save):
    """Without a bundle, labels are only known at the end; a case that lacks one is as two empty masks."""
    other = np.where(REFERENCE == 2, 7, 0).astype(np.uint8)
    save("data/labels/good.nii.gz", other, AFFINE)
    metrics = [name for name in METRICS if name not in ("ece", "cldice")]
    judged(folders, metrics=metrics)
    for row in rows_of(folders / "out"):
        prediction = REFERENCE if row["case"] == "good" else POOR
        reference = other if row["case"] == "good" else REFERENCE
        values = compare(prediction, reference, spacing_mm=(1, 1, 2), labels=[1, 2, 7], metrics=metrics)
        told = {name: float(row[name]) if row[name] else math.nan for name in metrics}
        np.testing.assert_equal(told, values[int(row["label"])])


def test_means_over_labels_leave_out_what_has_no_value():
    values = np.array([[[1.0, np.nan], [0.5, np.nan]], [[np.nan, 2], [0.25, 4]]])
    np.testing.assert_equal(over_labels(values), [[0.75, np.nan], [0.25, 3]])


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


def test_settings_reach_the_numbers_and_stand_beside_them(folders):
    summary = judged(folders, metrics=["nsd_5mm", "f_beta"], hd95="pooled", tolerance_mm={1: 1.0, 2: 3})
    how = {"metrics": ("hd95_mm", "nsd", "nsd_5mm"), "hd95": "pooled", "tolerance_mm": {1: 1.0, 2: 3.0}}
    values = compare(POOR, REFERENCE, spacing_mm=(1, 1, 2), labels=[1], **how)[1]
    row = rows_of(folders / "out")[2]
    assert {name: float(row[name]) for name in values} == values
    assert list(summary["definitions"]) == [*DEFAULT_METRICS, "nsd_5mm", "f_beta"]
    assert summary["policy"]["hd95"] == "pooled"
    assert summary["definitions"]["hd95_mm"].startswith("pooled")
    assert summary["policy"]["tolerance_mm"] == {"1": 1.0, "2": 3.0}
    assert summary["policy"]["empty_cases"]["prediction_empty"]["dice"] == 0


def test_two_models_are_compared_on_the_cases_that_both_predict(folders, save):
    for name, prediction in (("good", POOR), ("poor", POOR), ("extra", REFERENCE)):
        save(f"other/predictions/{name}.nii.gz", prediction, AFFINE)
    for folder, values in (("images", np.ones((8, 9, 4), np.float32)), ("labels", REFERENCE)):
        save(f"data/{folder}/extra.nii.gz", values, AFFINE)
    summary = judged(folders, compare_with=folders / "other/predictions", bundle=BUNDLE)
    comparison = summary["comparison"]
    first, second = models = comparison["models"]
    assert second == "other/predictions"
    assert first.endswith("/predictions")
    assert not first.startswith("/")
    assert summary["without_prediction"] == {first: ["extra"], second: []}
    rows = rows_of(folders / "out")
    assert [(row["model"], row["case"], row["label"]) for row in rows] == [
        (model, case, label) for model in models for case in ("good", "poor") for label in "12"
    ]
    assert summary["labels"]["1"]["dice"]["mean"] == pytest.approx(5 / 6)
    assert comparison["second"]["labels"]["1"]["dice"]["mean"] == pytest.approx(2 / 3)
    entry = comparison["difference"]["labels"]["1"]["dice"]
    assert (entry["n"], entry["mean"]) == (2, pytest.approx(1 / 6))
    assert entry["p_holm"] == min(1, 2 * entry["p_wilcoxon"])
    overall = comparison["difference"]["mean"]["dice"]
    assert overall["mean"] == pytest.approx(
        summary["mean"]["dice"]["mean"] - comparison["second"]["mean"]["dice"]["mean"]
    )
    assert overall["p_holm"] == overall["p_wilcoxon"]
    assert set(summary["provenance"]["sha256"]["good"]) == {"prediction", "second", "reference"}
    alone = judged(folders, output="alone", bundle=BUNDLE)
    assert alone["labels"] == summary["labels"]


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["/runs/a/1.nii.gz", "/runs/b/1.nii.gz"], ["a", "b"]),
        (["a/1.nii.gz", "b/1.nii.gz"], ["a", "b"]),
        (["/runs/new/out/1.nii.gz", "/new/out/1.nii.gz"], ["runs/new/out", "new/out"]),
        (["/out/1.nii.gz", "/out/1.nii.gz"], ["out (1)", "out (2)"]),
    ],
)
def test_models_are_named_by_what_tells_their_folders_apart(paths, names):
    assert model_names([[path] for path in paths]) == names


def test_a_model_against_itself_differs_in_nothing(folders):
    summary = judged(folders, compare_with=folders / "predictions")
    assert summary["comparison"]["models"] == ["predictions (1)", "predictions (2)"]
    for metric in DEFAULT_METRICS:
        entry = summary["comparison"]["difference"]["mean"][metric]
        assert (entry["mean"], entry["ci95"], entry["p_wilcoxon"]) == (0, [0, 0], 1), metric


def test_subgroups_are_summaries_of_their_cases(folders):
    (folders / "groups.csv").write_text("case;site\ngood;Rome\n")
    summary = judged(folders, groups=folders / "groups.csv")
    groups = summary["groups"]["site"]
    assert list(groups) == ["Rome", "(not given)"]
    assert groups["Rome"]["labels"]["1"]["dice"]["mean"] == 1
    assert groups["(not given)"]["mean"]["n"] == 1
    assert "(not given): poor" in summary["warnings"][0]
    assert [row["site"] for row in rows_of(folders / "out")] == ["Rome", "Rome", "", ""]
    (folders / "predictions/poor.nii.gz").unlink()
    alone = judged(folders, output="alone")
    assert {key: groups["Rome"][key] for key in ("labels", "mean")} == {
        key: alone[key] for key in ("labels", "mean")
    }


def test_provenance_names_files_by_their_hash_and_nobody(folders):
    summary = judged(folders, bundle=BUNDLE)
    facts = summary["provenance"]
    for name, hashes in facts["sha256"].items():
        for kind, folder in (("prediction", "predictions"), ("reference", "data/labels")):
            data = (folders / folder / f"{name}.nii.gz").read_bytes()
            assert hashes[kind] == hashlib.sha256(data).hexdigest()
    assert (facts["predictions"], facts["references"]) == ("predictions", "labels")
    assert facts["bundle"]["name"] == "hippocampus_mr_unet3d"
    assert len(facts["bundle"]["weights_sha256"]) == 64
    assert set(facts["versions"]) == {"python", "numpy", "scipy"}
    for path in (folders / "out").rglob("*"):
        assert path.is_dir() or str(folders).encode() not in path.read_bytes(), path


def test_the_manifest_says_which_model_predicted(folders):
    made_by = {"name": "x", "version": "1", "weights_sha256": "0" * 64, "metadata_sha256": "1" * 64}

    def record(case, maker=made_by, digest=None):
        path = folders / "predictions" / f"{case}.nii.gz"
        digest = digest or hashlib.sha256(path.read_bytes()).hexdigest()
        return {
            "case": case,
            "status": "done",
            "bundle": maker,
            "outputs": [{"path": path.name, "sha256": digest}],
        }

    def evaluated(*records, **how):
        lines = "".join(json.dumps(line) + "\n" for line in records)
        (folders / "predictions/manifest.jsonl").write_text(lines)
        summary = judged(folders, **how)
        return summary["provenance"]["bundle"], summary["warnings"]

    told = {**made_by, "known_from": "manifest.jsonl"}
    assert evaluated(record("good"), record("poor")) == (told, [])
    found, (warning,) = evaluated(record("good"), record("poor"), bundle=BUNDLE)
    assert found == told
    assert "another bundle" in warning
    found, (warning,) = evaluated(record("good"), record("poor", {**made_by, "version": "2"}))
    assert found is None
    assert "2 different models" in warning
    found, (warning,) = evaluated(record("good"), record("poor", digest="2" * 64))
    assert found == told
    assert "not the file" in warning
    found, (warning,) = evaluated(record("good"))
    assert "not in the predictions' manifest.jsonl: poor" in warning
    assert "predicted by x 1" in (folders / "out/report.html").read_text()


def test_a_bundle_that_is_only_named_is_not_said_to_have_predicted(folders):
    facts = judged(folders, bundle=BUNDLE)["provenance"]["bundle"]
    assert (facts["name"], facts["known_from"]) == ("hippocampus_mr_unet3d", "--bundle")
    text = (folders / "out/report.html").read_text()
    assert "labels of hippocampus_mr_unet3d" in text
    assert "predicted by" not in text


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
