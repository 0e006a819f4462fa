"""Tables of the user's with a row for each case: which subgroup it is of, which patient."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from medseg.errors import InputError

DELIMITERS = ",;\t"


def read_table(path: str | Path) -> tuple[list[str], dict[str, list[str]]]:
    """Return the columns, ``case`` first, and the fields of each case in their order.

    Parameters
    ----------
    path
        A text table separated by commas, semicolons or tabs, with a column ``case`` and others.

    Raises
    ------
    InputError
        `FILE_MISSING`, `GROUPS_BAD_TABLE`.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise InputError("FILE_MISSING", f"{path} does not exist; give a table with a column `case`")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise bad_table(path, "it is not UTF-8; save it as `CSV UTF-8`") from None
    lines = {mark: _fields(path, text, mark) for mark in DELIMITERS}
    by_mark = {mark: found for mark, found in lines.items() if found and "case" in _lower(found[0][1])}
    if not by_mark:
        header = max((found[0][1] for found in lines.values() if found), key=len, default=[])
        raise bad_table(path, f"it has no column `case`, only {header}; its first line must name the columns")
    (_, header), *others = max(by_mark.values(), key=lambda found: len(found[0][1]))
    while not header[-1]:  # a delimiter at the end of each line makes no column
        header.pop()
    at = _lower(header).index("case")
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice or "" in header or len(header) < 2:
        found = (
            f"the column {twice[0]!r} twice"
            if twice
            else "a column without a name"
            if "" in header
            else "one column"
        )
        raise bad_table(path, f"it has {found}; `case` and one or more others, each with a name, are needed")
    rows: dict[str, list[str]] = {}
    for number, fields in others:
        if len(fields) < len(header) or any(fields[len(header) :]):
            raise bad_table(path, f"line {number} has {len(fields)} fields and the first line {len(header)}")
        case = fields.pop(at)
        if case in rows:
            raise bad_table(path, f"line {number} has the case {case!r} again; one row for each is needed")
        rows[case] = [case, *fields]
    return [header.pop(at).casefold(), *header], rows


def _fields(path: Path, text: str, mark: str) -> list[tuple[int, list[str]]]:
    """Return the number and the fields of each line that is not empty."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=mark, skipinitialspace=True)
    try:
        stripped = ((reader.line_num, [field.strip() for field in fields]) for fields in reader)
        return [(number, fields) for number, fields in stripped if any(fields)]
    except csv.Error as error:
        raise bad_table(path, f"it is no table ({error})") from None


def _lower(names: Sequence[str]) -> list[str]:
    return [name.casefold() for name in names]


def bad_table(path: str | Path, found: str) -> InputError:
    """Return the error of a table that cannot be used."""
    return InputError("GROUPS_BAD_TABLE", f"{path}: {found}")
