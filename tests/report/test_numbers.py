"""Numbers as the report prints them."""

import pytest

from medseg.report.numbers import number


@pytest.mark.parametrize("column", ["p_stage", "nsd_before", "centre"])
def test_counts_are_whole_whatever_the_column_of_groups_is_called(column):
    summary = {"groups": {column: {"T2": {"mean": {"n": 12}}}}}
    assert ">12</data>" in number(summary, "groups", column, "T2", "mean", "n")
