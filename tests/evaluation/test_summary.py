"""Means over cases and labels: what they leave out is counted, what is missed improves none."""

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles.judged_folders import AFFINE, POOR, REFERENCE, judged, rows_of

from medseg.evaluation.summary import over_labels, summarize
from medseg.metrics.comparison import compare
from medseg.metrics.table import HD95_DEFINITIONS, METRICS, lower_is_better

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
