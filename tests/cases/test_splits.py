"""Splits are partitions, the same whatever the order, and kept beside a run."""

import json

from hypothesis import given
from hypothesis import strategies as st
from project import SAMPLES, code_of

from medseg.cases.find import find_cases
from medseg.cases.splits import choose_cases, fold_split, load_or_make_split, split_cases


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
    path.write_text(json.dumps({**split, "validation": split["training"]}))
    assert code_of(load_or_make_split, path, cases, seed=1) == "CONFIG_BAD_VALUE"
    path.write_text("[]")
    assert code_of(load_or_make_split, path, cases, seed=1) == "FILE_UNREADABLE"


def cases_of(names):
    return [{"id": name, "image": name} for name in names]


def test_folds_are_those_of_nnu_net():
    """Computed by scikit-learn 1.9.1: KFold(5, shuffle=True, random_state=12345).split(range(13))."""
    names = [f"case_{n:02}" for n in range(13)]
    held_out = [[0, 7, 9], [3, 6, 10], [8, 11, 12], [1, 4], [2, 5]]
    for fold, places in enumerate(held_out):
        split = fold_split(cases_of(names[::-1]), fold)
        assert split["validation"] == [names[place] for place in places]
        assert sorted(split["training"] + split["validation"]) == names


@given(patients=st.integers(5, 40), scans=st.integers(1, 3))
def test_folds_hold_out_each_patient_once(patients, scans):
    cases = cases_of(f"patient{n:03}_frame{k:02}" for n in range(patients) for k in range(scans))
    held_out = []
    for fold in range(5):
        split = fold_split(cases, fold)
        of = [{name.split("_")[0] for name in split[part]} for part in ("training", "validation")]
        assert not of[0] & of[1]
        held_out += split["validation"]
    assert sorted(held_out) == [case["id"] for case in cases]


def test_a_fold_that_cannot_be_made(tmp_path):
    cases = cases_of("abcdef")
    for fold in (5, -1, "all", True, 0.5):
        assert code_of(fold_split, cases, fold) == "CONFIG_BAD_VALUE"
    assert code_of(fold_split, cases[:4], 0) == "CASES_EMPTY"
    split = load_or_make_split(tmp_path / "s.json", cases, fold=1, seed=0, validation=0.2)
    assert split == fold_split(cases, 1) == load_or_make_split(tmp_path / "s.json", cases, fold=1)
    assert code_of(load_or_make_split, tmp_path / "s.json", cases, fold=2) == "CONFIG_BAD_VALUE"


def test_a_table_of_patients_holds_for_the_seeded_split_too(tmp_path):
    cases = cases_of("abcdef")
    (tmp_path / "who.csv").write_text("case,patient\n" + "".join(f"{name},{name in 'ace'}\n" for name in "abcdef"))
    split = split_cases(cases, validation=0.5, patients=tmp_path / "who.csv")
    assert {"".join(split["training"]), "".join(split["validation"])} == {"ace", "bdf"}
