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
