"""Splits are partitions, the same whatever the order, and kept beside a run."""

import json

from hypothesis import given
from hypothesis import strategies as st
from project import SAMPLES, code_of

from medseg.cases.find import find_cases
from medseg.cases.splits import choose_cases, load_or_make_split, split_cases


@given(
    names=st.sets(st.text(min_size=1, max_size=5), min_size=5, max_size=40),
    seed=st.integers(0, 100),
    shares=st.tuples(st.floats(0, 0.4), st.floats(0, 0.3)),
)
def test_a_split_is_a_partition_that_does_not_depend_on_order(names, seed, shares):
    cases = [{"id": name, "image": name} for name in names]
    validation, test = shares
    split = split_cases(cases, seed=seed, validation=validation, test=test)
    assert sorted(name for part in split.values() for name in part) == sorted(names)
    assert split == split_cases(cases[::-1], seed=seed, validation=validation, test=test)
    assert split["training"]
    assert bool(split["validation"]) == (validation > 0)


def test_the_split_beside_a_run_is_reused(tmp_path):
    cases = find_cases(SAMPLES / "mr")
    path = tmp_path / "split.json"
    split = load_or_make_split(path, cases, seed=1, validation=0.25, test=0.25)
    assert json.loads(path.read_text())["seed"] == 1
    assert load_or_make_split(path, cases, seed=2, validation=0.5, test=0.0) == split
    assert [case["id"] for case in choose_cases(cases, split, "test")] == split["test"]
    assert choose_cases(cases, split, "all") == cases
    assert code_of(choose_cases, cases, split, "tset") == "CONFIG_BAD_VALUE"
    assert code_of(choose_cases, cases, {"test": []}, "test") == "CASES_EMPTY"
    assert code_of(load_or_make_split, path, cases[:3], seed=1) == "CASES_NOT_IN_DATASET"
    path.write_text("[]")
    assert code_of(load_or_make_split, path, cases, seed=1) == "FILE_UNREADABLE"
