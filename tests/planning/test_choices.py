"""What the user gives comes before the rules, and is of the right kind or refused in one line."""

import pytest
from project import ROOT, code_of

from medseg import InputError
from medseg.planning.choices import KEYS, Choices


def test_what_is_given_comes_first():
    chosen = Choices({"batch_size": 7, "patch_size": None})
    assert chosen.take("batch_size", 2, "rule") == 7
    assert chosen.take("patch_size", [8, 8], "rule") == [8, 8]
    assert [chosen[key].given for key in ("batch_size", "patch_size")] == [True, False]


def test_an_unknown_key_is_told_its_nearest():
    with pytest.raises(InputError, match="did you mean 'spacing_mm'"):
        Choices({"spacing": [1, 1, 1]})


@pytest.mark.parametrize(
    ("key", "value"),
    [("batch_size", 2.5), ("batch_size", True), ("spacing_mm", "1"), ("spacing_mm", [1, "a"]), ("name", 3),
     ("deep_supervision", 1), ("labels", ["a"]), ("rotate_rad", "x")],
)  # fmt: skip
def test_values_of_another_kind(key, value):
    assert code_of(Choices, {key: value}) == "CONFIG_BAD_VALUE"


def test_every_key_is_on_the_page():
    page = (ROOT / "docs/how-to/plan.md").read_text()
    assert [key for key in KEYS if f"| `{key}` |" not in page] == []
