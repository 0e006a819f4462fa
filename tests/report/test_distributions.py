"""Distributions drawn to scale."""

import numpy as np
import pytest

from medseg.report import distributions


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


def strip_of(metric, values):
    rows = [{"case": str(i), "label": 1, metric: value} for i, value in enumerate(values)]
    (line,) = distributions.distribution(metric, rows, {"1": "x"}, [None])["lines"]
    return line["strips"][0]


def test_whiskers_end_at_the_last_value_within_one_and_a_half_boxes():
    """Tukey's rule by hand: quartiles 4 and 6, so values from 1 to 9 are inside, both included."""
    values = [4.5, 9.1, 1.0, 6.0, 5.0, 0.9, 4.0, 9.0, 5.5]
    assert strip_of("hd95_mm", values)["box"] == [100, 400, 500, 600, 900]  # the axis goes from 0 to 10
    assert strip_of("hd95_mm", [4.5, 9.0, 1.0, 6.0, 5.0, 1.0, 4.0, 9.0, 5.5])["box"] == [100, 400, 500, 600, 900]
    assert strip_of("hd95_mm", [4.5, 8.0, 2.0, 6.0, 5.0, 0.9, 4.0, 9.1, 5.5])["box"] == [200, 400, 500, 600, 800]


def test_of_many_values_those_beyond_the_whiskers_alone_are_dots():
    values = [*np.linspace(4, 6, 400), 0.5, 3.4, 6.6, 9.5, 10.0]
    dots = strip_of("volume_error_ml", values)["dots"].split("M")[1:]  # the quartiles are 4.5 and 5.5
    assert [int(dot.split()[0]) for dot in dots] == [1000, 50, 950]  # the furthest from the median first
    few = strip_of("volume_error_ml", values[350:])["dots"].split("M")[1:]
    assert len(few) == len(values[350:])
