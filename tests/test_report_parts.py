"""The report's parts: packed volumes, budgets, the order of cases, distributions drawn to scale."""

import base64
import io

import numpy as np
import pytest
from PIL import Image
from report_cases import AFFINE, unpack, volumes

from medseg.report import distributions, evidence, pictures
from medseg.report.evidence import gather, pack, strides
from medseg.report.numbers import number
from medseg.report.page import worst_first
from medseg.report.scenes import Views, scene_of


@pytest.mark.parametrize("many", [False, True])
def test_packed_volumes_come_back(many):
    rng = np.random.default_rng(0)
    reference = rng.integers(0, 1000 if many else 4, (9, 8, 7)) * 3
    prediction = np.where(rng.random(reference.shape) < 0.3, 0, reference)
    scene = scene_of(Views(rng.normal(size=reference.shape), reference, prediction, np.eye(4), second=reference))
    ids = np.unique([0, *reference.ravel()])
    text, facts = pack(scene, {str(ids[1]): "first"})
    image, maps = unpack(text, facts)
    assert facts["wide"] == many
    assert facts["names"][:3] == ["background", "first", str(ids[2])]
    for labels, found in zip((scene.reference, *scene.predictions), maps, strict=True):
        np.testing.assert_array_equal(ids[found], labels.transpose(2, 1, 0))
    assert np.ptp(image) == 255


def test_large_volumes_are_thinned_out_along_their_finest_axes(monkeypatch):
    assert strides((64, 50, 36), (1, 1, 1)) == (1, 1, 1)
    assert strides((400, 300, 100), (0.7, 0.7, 5)) == (3, 3, 1)
    monkeypatch.setattr(evidence, "MAX_VOXELS", 1)
    assert strides((1, 7, 3), (1, 1, 1)) == (1, 7, 3)


def test_the_worst_cases_that_fit_have_pictures_and_those_asked_for(monkeypatch):
    cases = [{"id": str(i)} for i in range(12)]

    def read(case):
        reference, ours, _ = volumes(int(case["id"]) + 1)
        return Views(None, reference, ours, AFFINE)

    everything = gather(cases, read, show=(), names={}, draw=lambda *_: None)
    assert list(everything) == [case["id"] for case in cases]
    sizes = [len(its.pictures[0].base64) for its in everything.values()]
    monkeypatch.setattr(evidence, "PICTURES_MIB", (sum(sizes[:4]) + 1) / 2**20)
    monkeypatch.setattr(evidence, "VOLUMES_MIB", len(everything["0"].volume) / 2**20)
    for threads in (1, 3):
        monkeypatch.setattr(evidence, "THREADS", threads)
        some = gather(cases, read, show=["9"], names={}, draw=lambda *_: None)
        assert set(some) == {"0", "1", "2", "3", "9"}
        assert {name for name, its in some.items() if its.volume} == {"0", "9"}


def test_cases_beyond_the_worst_have_small_pictures(monkeypatch):
    monkeypatch.setattr(evidence, "LARGE", 2)

    def read(case):
        reference, ours, _ = volumes(int(case["id"]) + 1)
        return Views(None, reference, ours, AFFINE)

    found = gather([{"id": str(i)} for i in range(5)], read, show=["4"], names={}, draw=lambda *_: None)
    kinds = {name: its.pictures[0].kind for name, its in found.items()}
    assert kinds == {"4": "png", "0": "png", "1": "png", "2": "webp", "3": "webp"}
    large, small = (
        Image.open(io.BytesIO(base64.b64decode(found[name].pictures[0].base64))).convert("RGB") for name in "03"
    )
    assert small.width < large.width
    drawn = np.asarray(small).reshape(-1, 3).astype(int)
    for colour in (pictures.REFERENCE, pictures.PREDICTION):
        assert (np.abs(drawn - colour).max(axis=1) < 40).sum() > 50, "its contours are there"


def test_the_worst_case_comes_first_and_one_without_a_value_last():
    scores = {"a": (0.9, 0.7), "b": (0.1, None), "c": (None, None), "d": (0.5, 0.3)}
    rows = [
        {"case": case, "label": i, "name": str(i), "dice": value, "hd95_mm": value and 10 * value}
        for case, values in scores.items()
        for i, value in enumerate(values, start=1)
    ]
    cases = [{"id": case} for case in scores]
    listed = worst_first(cases, rows, [None], ["dice", "hd95_mm"])
    assert [case["id"] for case in listed] == ["b", "d", "a", "c"]
    assert listed[1]["models"][None]["worst"]["label"] == 2
    assert listed[2]["models"][None]["means"]["dice"] == pytest.approx(0.8)
    assert listed[3]["models"][None] == {"means": {"dice": None, "hd95_mm": None}, "worst": None}
    by_distance = worst_first(cases, rows, [None], ["hd95_mm"])
    assert [case["id"] for case in by_distance] == ["a", "d", "b", "c"]


@pytest.mark.parametrize("column", ["p_stage", "nsd_before", "centre"])
def test_counts_are_whole_whatever_the_column_of_groups_is_called(column):
    summary = {"groups": {column: {"T2": {"mean": {"n": 12}}}}}
    assert ">12</data>" in number(summary, "groups", column, "T2", "mean", "n")


@pytest.mark.parametrize("metric", ["dice", "hd95_mm", "volume_error_ml"])
@pytest.mark.parametrize("n", [1, 2, 40, 2000])
def test_distributions_are_drawn_to_scale(metric, n):
    values = np.random.default_rng(n).gamma(2, 0.2, n)
    values = 1 - values / values.max() if metric == "dice" else values - (metric == "volume_error_ml")
    rows = [{"case": str(i), "label": 1, "name": "x", metric: float(v)} for i, v in enumerate(values)]
    plot = distributions.distribution(metric, rows, {"1": "x", "2": "none"}, [None])
    (line,) = plot["lines"]
    (strip,) = line["strips"]
    (left, low), (right, high) = (
        (place, float(t.replace("−", "-"))) for place, t in (plot["ticks"][0], plot["ticks"][-1])
    )
    assert (left, right) == pytest.approx((0, 100))

    def to_value(x: float) -> float:
        return low + (high - low) * x / distributions.WIDE

    quartiles = np.percentile(values, (25, 50, 75))
    np.testing.assert_allclose([to_value(x) for x in strip["box"][1:4]], quartiles, atol=(high - low) / 500)
    assert strip["box"] == sorted(strip["box"])
    assert plot["cut"] == (values.max() > high)
    assert len(strip["dots"]) < 12 * distributions.DOTS_OF_A_STRIP
    order = np.argsort(values)
    worst = {"dice": order[:3], "hd95_mm": order[::-1][:3]}.get(metric, [])
    assert {case for _, case in strip["worst"]} == {str(i) for i in worst}
