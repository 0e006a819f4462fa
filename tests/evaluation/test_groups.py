"""Tables of subgroups: what is read from them, and what is refused."""

import pytest

from medseg.errors.exceptions import InputError
from medseg.evaluation.groups import MOST_VALUES, NOT_GIVEN, members, read_groups

CASES = ["a", "b", "c"]


@pytest.fixture
def table(tmp_path):
    def write(text, encoding="utf-8"):
        path = tmp_path / "groups.csv"
        path.write_bytes(text.encode(encoding))
        return path

    return write


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("case,site,sex\na,Köln,f\nb,Rom,m\nc,Köln,\n", "utf-8"),
        ("case;site;sex\r\na;Köln;f\r\nb;Rom;m\r\nc;Köln;\r\n", "utf-8-sig"),  # as spreadsheets save it in Europe
        ("site\tsex\tCase\nKöln\tf\ta\nRom\tm\tb\nKöln\t\tc\nx\ty\tsomeone else\n", "utf-8"),
        (' case , site , sex \n\na, "Köln" , f\nb , Rom,m \n,,\nc,Köln,\n', "utf-8"),
        ("case;site;sex;\na;Köln;f;\nb;Rom;m;\nc;Köln;;\n", "utf-8"),
    ],
)
def test_ways_to_write_the_same_table(table, text, encoding):
    groups, missing = read_groups(table(text, encoding), CASES, ["dice"])
    assert groups == {"site": {"a": "Köln", "b": "Rom", "c": "Köln"}, "sex": {"a": "f", "b": "m", "c": ""}}
    assert missing == []
    assert members(groups["site"]) == {"Köln": ["a", "c"], "Rom": ["b"]}
    assert members(groups["sex"]) == {"f": ["a"], "m": ["b"], NOT_GIVEN: ["c"]}


def test_cases_that_the_table_has_not_are_named_and_grouped(table):
    groups, missing = read_groups(table("case,site\nb,Rom\n"), CASES, [])
    assert missing == ["a", "c"]
    assert members(groups["site"]) == {"Rom": ["b"], NOT_GIVEN: ["a", "c"]}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("patient,site\na,Rom\n", r"no column `case`.*\['patient', 'site'\]"),
        ("", "no column `case`"),
        ("case\na\n", "one column"),
        ("case,site\na,Rom\nb,Rom\na,Rom\n", "line 4 has the case 'a' again"),
        ("case,site,site\na,Rom,Rom\n", "'site' twice"),
        ("case,,site\na,x,Rom\n", "without a name"),
        ("case,dice\na,1\n", "'dice'"),
        ("case,Label\na,1\n", "'Label'"),
        ("case,model\na,1\n", "'model'"),
        ("case,site\nx,Rom\n", "none of its cases is among those evaluated: its first is 'x', theirs 'a'"),
        ("case,site\na\n", "line 2 has 1 fields"),
        ("case,site\na,Rom,south\n", "line 2 has 3 fields"),
    ],
)
def test_what_cannot_be_used_is_refused_by_name(table, text, said):
    with pytest.raises(InputError, match=f"GROUPS_BAD_TABLE: .*groups.csv: .*{said}"):
        read_groups(table(text), CASES, ["dice"])


def test_a_column_with_a_value_for_each_case_is_no_subgroup(table):
    cases = [f"case {n}" for n in range(MOST_VALUES + 1)]
    rows = "".join(f"{case},{n}\n" for n, case in enumerate(cases))
    with pytest.raises(InputError, match=rf"'age' has {MOST_VALUES + 1} different values"):
        read_groups(table(f"case,age\n{rows}"), cases, [])
    assert read_groups(table(f"case,age\n{rows}"), cases[:-1], [])


def test_another_encoding_and_a_missing_file_are_refused(table, tmp_path):
    with pytest.raises(InputError, match=r"GROUPS_BAD_TABLE: .*UTF-8"):
        read_groups(table("case,site\na,Köln\n", "latin-1"), CASES, [])
    with pytest.raises(InputError, match="FILE_MISSING"):
        read_groups(tmp_path / "nowhere.csv", CASES, [])
