"""Ids that stay in their folder, and that no file system takes for one another."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from project import BUNDLES, SAMPLES, code_of

from medseg import predict
from medseg.cases.ids import ID_BYTES, case_ids, check_case_ids

IMAGE = str(SAMPLES / "mr/images/mr_00.nii.gz")
names = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=90)


@pytest.mark.parametrize(
    ("cases", "code"),
    [
        *(([{"id": name, "image": IMAGE}], "CASES_BAD_ID") for name in ("../escape", "/tmp/x", "sub/x", "", "..")),
        *(([{"id": name, "image": IMAGE}], "CASES_BAD_ID") for name in ("a\0b", "c\\d", "x" * 300, 7, None)),
        ([{"id": ".part-0-x", "image": IMAGE}], "CASES_BAD_ID"),
        ([{"image": IMAGE}], "CASES_BAD_ID"),
        ([{"id": "a"}], "CASES_BAD_ID"),
        ([{"id": "case", "image": IMAGE}, {"id": "CASE", "image": IMAGE}], "CASES_DUPLICATE_ID"),
        ([{"id": "é", "image": IMAGE}, {"id": "e\u0301", "image": IMAGE}], "CASES_DUPLICATE_ID"),
    ],
)
def test_an_id_that_leads_elsewhere_or_is_another_s_starts_nothing(cases, code, weights, tmp_path):
    assert code_of(check_case_ids, cases) == code
    bundle = BUNDLES / "hippocampus_mr_unet3d"
    assert code_of(predict, bundle, cases, tmp_path / "deep/out", weights=weights, device="cpu") == code
    assert list(tmp_path.rglob("*")) == []


def test_a_list_of_paths_is_no_list_of_cases():
    assert code_of(check_case_ids, [IMAGE]) == "CASES_BAD_ID"


@given(st.lists(st.lists(names, min_size=1, max_size=5).map(tuple), unique=True))
def test_paths_have_ids_of_their_own_that_fit_a_file_name(paths):
    ids = case_ids(paths)
    assert len(set(ids)) == len(paths)
    assert all(len(name.encode()) <= ID_BYTES for name in ids)


def test_a_path_is_shown_by_its_id_and_told_from_another():
    assert case_ids([("pat1", "visit1", "t1"), ("t1",)]) == ["pat1_visit1_t1", "t1"]
    first, second = case_ids([("a", "b_c"), ("a_b", "c")])
    assert first != second
    assert {name[:6] for name in (first, second)} == {"a_b_c-"}
    assert case_ids([("a", "b_c"), ("a_b", "c"), ("d",)])[:2] == [first, second]


def test_one_name_in_two_forms_is_one():
    for form in ("NFC", "NFD", "NFKC"):
        pair = [
            {"id": "Ångström", "image": IMAGE},
            {"id": unicodedata.normalize(form, "ångström"), "image": IMAGE},
        ]
        assert code_of(check_case_ids, pair) == "CASES_DUPLICATE_ID"
