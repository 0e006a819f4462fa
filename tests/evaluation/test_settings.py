"""Settings reach the numbers and stand beside them; wrong ones are refused by name."""

import math

import pytest
from oracles.judged_folders import POOR, REFERENCE, judged, refusal, rows_of

from medseg.metrics.comparison import compare
from medseg.metrics.table import DEFAULT_METRICS


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


def test_a_tolerance_of_zero_is_one(folders):
    assert judged(folders, tolerance_mm=0, metrics=["nsd_0mm"])["policy"]["tolerance_mm"] == 0
    assert all(row["nsd"] == row["nsd_0mm"] for row in rows_of(folders / "out"))


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
