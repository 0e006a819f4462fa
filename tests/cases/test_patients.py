"""Which patient a case is of, by its id or by a table."""

import pytest
from project import code_of

from medseg.cases.patients import patient_of, patients_of


@pytest.mark.parametrize(
    ("case", "patient"),
    [
        ("patient001_frame01", "patient001"),
        ("sub-01_ses-02_T1w", "sub-01"),
        ("sub-0a", "sub-0a"),
        ("A0S9V9_ED", "A0S9V9"),
        ("A0S9V9_ES", "A0S9V9"),
        ("liver-3_visit_2", "liver-3"),
        ("p7-tp2", "p7"),
        ("010_2HC", "010"),
        ("010_HC", "010"),
        ("hippocampus_001", "hippocampus_001"),
        ("CASED", "CASED"),
        ("spleen_2", "spleen_2"),
        ("subject_3", "subject_3"),
    ],
)
def test_ids_that_say_who_and_ids_that_do_not(case, patient):
    assert patient_of(case) == patient


def test_a_table_says_who(tmp_path):
    cases = [{"id": "a", "image": "a"}, {"id": "b_ED", "image": "b"}]
    table = tmp_path / "who.csv"
    table.write_text("case;patient\na;1\nb_ED;1\nc;2\n")
    assert patients_of(cases, table) == {"a": "1", "b_ED": "1"}
    assert patients_of(cases) == {"a": "a", "b_ED": "b"}
    for text in ("case;age\na;1\nb_ED;2\n", "case;patient\na;1\n", "case;patient\na;1\nb_ED;\n"):
        table.write_text(text)
        assert code_of(patients_of, cases, table) == "GROUPS_BAD_TABLE"
    assert code_of(patients_of, cases, tmp_path / "nowhere.csv") == "FILE_MISSING"
