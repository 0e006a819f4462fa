"""Lists of names in messages."""

import pytest

from medseg.errors import PROBLEMS_SHOWN, some


@pytest.mark.parametrize(("more", "end"), [(0, ""), (1, " and 1 other"), (2, " and 2 others")])
def test_the_first_few_are_named_and_the_rest_counted(more, end):
    names = [f"case_{number}" for number in range(PROBLEMS_SHOWN + more)]
    assert some(names) == ", ".join(names[:PROBLEMS_SHOWN]) + end
