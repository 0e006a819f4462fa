"""Shards: disjoint, together everything, and by id alone."""

import pytest

from medseg import InputError
from medseg.prediction.shards import share

CASES = [{"id": f"case_{n}", "image": f"/data/case_{n}.nii.gz"} for n in range(101)]


@pytest.mark.parametrize("count", [1, 2, 7, 200])
def test_shards_are_disjoint_and_all_there_is(count):
    parts = [share(CASES, f"{n}/{count}") for n in range(1, count + 1)]
    assert sorted(case["id"] for part in parts for case in part) == sorted(case["id"] for case in CASES)
    half = CASES[::2]
    assert [share(half, f"{n}/{count}") for n in range(1, count + 1)] == [
        [case for case in part if case in half] for part in parts
    ]


@pytest.mark.parametrize("shard", ["0/2", "3/2", "1", "a/b", "1/0", "-1/2", "1/2/3"])
def test_a_shard_is_i_of_n(shard):
    with pytest.raises(InputError, match="CONFIG_BAD_VALUE"):
        share(CASES, shard)
