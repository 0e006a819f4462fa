"""A share of the cases, for several machines or processes that each do one."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

from medseg.cases import Case
from medseg.errors import InputError


def share(cases: Sequence[Case], shard: str = "") -> list[Case]:
    """Return the cases of one shard, ``"i/n"`` with i from 1; all of them for ``""``.

    A case's shard follows from its id alone, so that a case that comes or goes moves no other.

    Raises
    ------
    InputError
        `CONFIG_BAD_VALUE`.
    """
    if not shard:
        return list(cases)
    parts = re.fullmatch(r"(\d+)/(\d+)", str(shard))
    number, count = map(int, parts.groups()) if parts else (0, 0)
    if not 1 <= number <= count:
        raise InputError("CONFIG_BAD_VALUE", f"shard {shard!r}: i/n is needed, with i from 1 to n, such as 2/4")
    return [case for case in cases if _place(case["id"]) % count == number - 1]


def _place(name: str) -> int:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")
