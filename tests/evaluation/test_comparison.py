"""Two models compared on the cases that both predict."""

import numpy as np
import pytest
from oracles.judged_folders import AFFINE, BUNDLE, POOR, REFERENCE, judged, rows_of

from medseg.evaluation.files import model_names
from medseg.metrics.table import DEFAULT_METRICS


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
