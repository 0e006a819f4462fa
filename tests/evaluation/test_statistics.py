"""Means, intervals and paired tests over cases."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from medseg.evaluation.statistics import BOOTSTRAP_DRAWS, compare_pairs, describe, holm

NAN = math.nan
REAL_RNG = np.random.default_rng


def column(values):
    return np.array(values, float)[:, None]


def test_by_hand():
    (entry,) = describe(column([1, NAN, 3, 8]))
    assert entry["mean"] == 4
    assert entry["median"] == 3
    assert entry["sd"] == pytest.approx(math.sqrt((9 + 1 + 16) / 2))
    assert (entry["n"], entry["n_excluded"]) == (3, 1)
    low, high = entry["ci95"]
    assert 1 <= low < 4 < high <= 8


@pytest.mark.parametrize("values", [[], [NAN], [NAN, NAN]])
def test_nothing_is_none_and_never_zero(values):
    (entry,) = describe(column(values))
    assert [entry[key] for key in ("mean", "median", "sd")] == [None] * 3
    assert entry["ci95"] == [None, None]
    assert (entry["n"], entry["n_excluded"]) == (0, len(values))


def test_one_value_has_neither_spread_nor_interval():
    (entry,) = describe(column([NAN, 0.5]))
    assert (entry["mean"], entry["sd"], entry["ci95"]) == (0.5, None, [None, None])


@settings(max_examples=40, deadline=None)
@given(
    arrays(
        float, st.tuples(st.integers(2, 12), st.integers(1, 4)), elements=st.sampled_from([0, 0.25, 0.9, 3, NAN])
    ),
    st.randoms(),
)
def test_a_column_s_numbers_do_not_depend_on_its_neighbours(values, random):
    order = list(range(values.shape[1]))
    random.shuffle(order)
    together = describe(values)
    shuffled = describe(values[:, order])
    for place, index in enumerate(order):
        (alone,) = describe(values[:, [index]])
        for other in (shuffled[place], together[index]):
            assert other["mean"] == alone["mean"]
            for ours, theirs in zip(other["ci95"], alone["ci95"], strict=True):
                assert ours == (None if theirs is None else pytest.approx(theirs, abs=1e-12))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from([0.0, 0.3, 0.31, 1.0, 5.0, NAN]), min_size=2, max_size=30))
def test_an_interval_holds_the_mean_and_stays_among_the_values(values):
    (entry,) = describe(column(values))
    if entry["n"] > 1:
        low, high = entry["ci95"]
        assert np.nanmin(values) - 1e-12 <= low <= entry["mean"] + 1e-12
        assert entry["mean"] - 1e-12 <= high <= np.nanmax(values) + 1e-12


def test_bounds_are_percentiles_of_means_of_drawn_cases():
    """The same by a plain loop: what is drawn are cases, and those without a value count for nothing."""
    values = np.array([0.2, 0.9, NAN, 0.4, 0.7])
    drawn = np.random.default_rng(0).integers(0, 5, (2000, 5))
    means = [np.nanmean(values[places]) for places in drawn if not np.isnan(values[places]).all()]
    (entry,) = describe(column(values))
    assert entry["ci95"] == pytest.approx(np.percentile(means, (2.5, 97.5)), abs=1e-12)


def test_the_interval_holds_the_true_mean_in_95_of_100_samples():
    rng = np.random.default_rng(1)
    samples = {"normal": rng.normal(0.8, 0.1, (60, 2000)), "half missing": rng.exponential(1.0, (120, 2000))}
    samples["half missing"][rng.random((120, 2000)) < 0.5] = NAN
    for (name, values), true in zip(samples.items(), (0.8, 1.0), strict=True):
        bounds = np.array([entry["ci95"] for entry in describe(values)])
        held = ((bounds[:, 0] <= true) & (true <= bounds[:, 1])).mean()
        assert 0.92 < held < 0.965, name


def test_cases_are_drawn_once_for_all_columns(monkeypatch):
    """Not once a column: a table has thousands of them."""
    values = np.random.default_rng(0).random((1000, 117 * 20))
    values[::7, ::3] = NAN
    drawn: list[int] = []

    class Counting:
        def __init__(self, seed):
            self.rng = REAL_RNG(seed)

        def integers(self, low, high, size):
            drawn.append(int(np.prod(size)))
            return self.rng.integers(low, high, size)

    monkeypatch.setattr(np.random, "default_rng", Counting)
    monkeypatch.setattr(np, "nanpercentile", None)  # column by column, and for draws without a value alone
    assert len(describe(values)) == 117 * 20
    assert sum(drawn) == 1000 * BOOTSTRAP_DRAWS


def test_pairs_without_both_values_are_left_out_and_counted():
    first, second = column([1, 2, NAN, 4, NAN]), column([0, NAN, 3, 1, NAN])
    (entry,) = compare_pairs(first, second)
    assert (entry["n"], entry["n_excluded"], entry["n_one_sided"]) == (2, 3, 2)
    assert entry["mean"] == 2
    assert entry["median"] == 2


def test_two_models_change_places_and_the_sign_alone_changes():
    rng = np.random.default_rng(2)
    first, second = rng.random((2, 30, 3))
    for ours, theirs in zip(compare_pairs(first, second), compare_pairs(second, first), strict=True):
        assert ours["mean"] == -theirs["mean"]
        assert ours["ci95"] == pytest.approx([-bound for bound in reversed(theirs["ci95"])], abs=1e-12)
        assert ours["p_wilcoxon"] == pytest.approx(theirs["p_wilcoxon"])


def test_wilcoxon_by_hand():
    """Of six differences of one sign, 2 of the 2^6 orders of signs are as extreme: p = 2/64."""
    (entry,) = compare_pairs(column([1, 2, 3, 4, 5, 6.5]), column([0] * 6))
    assert entry["p_wilcoxon"] == pytest.approx(2 / 64)
    # Ranks 1, 2, 3 with the signs -, +, +: sums 1 and 5. Sums of at most 1 in 2 of 8 orders, so p = 4/8.
    (entry,) = compare_pairs(column([-1, 2, 3]), column([0] * 3))
    assert entry["p_wilcoxon"] == pytest.approx(4 / 8)


def test_wilcoxon_where_nothing_differs_or_nothing_is_there():
    nothing, same = compare_pairs(np.array([[NAN, 1], [NAN, 2]]), np.array([[1, 1], [1, 2.0]]))
    assert nothing["p_wilcoxon"] is None
    assert nothing["mean"] is None
    assert same["p_wilcoxon"] == 1
    assert same["ci95"] == [0, 0]


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.2, None, 0.02]) == [0.2, None, 0.04]
    assert holm([0.7, 0.8]) == [1, 1]
    assert holm([]) == []


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(0, 1), max_size=8))
def test_holm_never_lowers_a_p_value_nor_changes_their_order(p_values):
    corrected = holm(p_values)
    assert all(p <= q <= 1 for p, q in zip(p_values, corrected, strict=True))
    by_p = sorted(zip(p_values, corrected, strict=True))
    assert [q for _, q in by_p] == sorted(corrected)
