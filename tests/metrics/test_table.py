"""What is said of the metrics is what is computed: definitions, the page, the values for empty masks."""

import math
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from project import ROOT

from medseg.metrics.comparison import compare
from medseg.metrics.table import HD95_DEFINITIONS, METRICS, definitions, empty_cases, lower_is_better

PAGE = (ROOT / "docs/reference/metrics.md").read_text()
WITHOUT_PROBABILITIES = [name for name in METRICS if name != "ece"]
EMPTY, FULL = np.zeros((4, 6), int), np.zeros((4, 6), int)
FULL[1:3, 2:5] = 1
CASES = {"both_empty": (EMPTY, EMPTY), "prediction_empty": (EMPTY, FULL), "reference_empty": (FULL, EMPTY)}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", [*WITHOUT_PROBABILITIES, "nsd_2mm"])
def test_empty_masks_give_what_the_table_says(case, name):
    prediction, reference = CASES[case]
    value = compare(prediction, reference, spacing_mm=(3, 2), labels=[1], metrics=[name])[1][name]
    stated = empty_cases([name])[case][name]
    by_hand = {
        "volume_ml": 0.036 * prediction.any(),
        "reference_volume_ml": 0.036 * reference.any(),
        "volume_error_ml": 0.036 * (int(prediction.any()) - int(reference.any())),
        "specificity": 18 / 24,
        "lesions": int(reference.any()),
        "lesions_predicted": int(prediction.any()),
    }
    expected = {None: math.nan, "diagonal": math.hypot(12, 12), "computed": by_hand.get(name)}.get(stated, stated)
    assert value == pytest.approx(expected, nan_ok=True)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_no_prediction_is_worse_than_a_missed_structure(seed):
    rng = np.random.default_rng(seed)
    prediction = rng.random(FULL.shape) < rng.uniform(0.02, 0.9)
    prediction[tuple(rng.integers(0, FULL.shape))] = True
    judged = [n for n in WITHOUT_PROBABILITIES if lower_is_better(n) is not None]
    how = {"spacing_mm": (3, 2), "labels": [1], "metrics": judged, "boundary_width_mm": 3}
    for definition in HD95_DEFINITIONS:
        values = compare(prediction.astype(int), FULL, hd95=definition, **how)[1]
        missed = compare(EMPTY, FULL, hd95=definition, **how)[1]
        for name in judged:
            assert missed[name] >= values[name] if lower_is_better(name) else missed[name] <= values[name], name


def test_absent_everywhere_is_like_absent_here():
    """A label that neither map holds has the values of one whose neighbours are there."""
    alone = compare(EMPTY, EMPTY, spacing_mm=(3, 2), labels=[2], metrics=WITHOUT_PROBABILITIES)[2]
    beside = compare(FULL, FULL, spacing_mm=(3, 2), labels=[1, 2], metrics=WITHOUT_PROBABILITIES)[2]
    np.testing.assert_equal(alone, beside)
    assert compare(EMPTY, FULL, spacing_mm=(3, 2), labels=[]) == {}


def test_definitions_hold_the_settings():
    for definition in HD95_DEFINITIONS:
        texts = definitions(
            (*METRICS, "nsd_2mm"), hd95=definition, tolerance_mm=1.5, beta=0.5, boundary_width_mm=3
        )
        assert list(texts) == [*METRICS, "nsd_2mm"]
        assert texts["hd95_mm"].startswith(f"{definition}: ")
        assert ("weighted by its area" in texts["assd_mm"]) == (definition == "area-weighted")
        assert ("1.5 mm" in texts["nsd"], "2 mm" in texts["nsd_2mm"], "b = 0.5" in texts["f_beta"]) == (True,) * 3
        assert "3 mm" in texts["boundary_iou"]
        assert "{" not in "".join(texts.values())
    assert "2: 3" in definitions(["nsd"], tolerance_mm={1: 1.5, 2: 3})["nsd"]


def rows(page: str, columns: int) -> list[list[str]]:
    cells = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines() if line[:1] == "|"
    ]
    return [row for row in cells if len(row) == columns and row[0].startswith("`")]


def test_the_page_lists_every_metric_and_its_values_for_empty_masks():
    listed = {name: values for names, *values in rows(PAGE, 4) for name in re.findall(r"`(\w+)`", names)}
    assert set(listed) == set(METRICS)
    words = {None: "none", "diagonal": "diagonal", "computed": "computed", 0: "0", -1: "-1"}
    for place, case in enumerate(("both_empty", "prediction_empty", "reference_empty")):
        for name, value in empty_cases(METRICS)[case].items():
            assert listed[name][place] == words[value], (name, case)
    defined = {name for names, _, _ in rows(PAGE, 3) for name in re.findall(r"`(\w+)`", names)}
    assert defined >= set(METRICS)
