"""A table of the user's that puts each case into subgroups: by scanner, sex, centre or what else a column says."""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from medseg.errors import InputError

DELIMITERS = ",;\t"
MOST_VALUES = 50  # a column with more different values describes cases, not groups of them
NOT_GIVEN = "(not given)"
RESERVED = ("case", "label", "name", "model")

Groups = dict[str, dict[str, str]]  # of each column, the value of each case; "" where there is none


def read_groups(path: str | Path, cases: Sequence[str], metrics: Collection[str]) -> tuple[Groups, list[str]]:
    """Return each column's value of each case, and the cases that the table has not.

    Parameters
    ----------
    path
        A text table separated by commas, semicolons or tabs, with a column ``case`` and others.
    cases
        The ids of the cases; rows of others are passed over.
    metrics
        Names that no column may have.

    Raises
    ------
    InputError
        `FILE_MISSING`, `GROUPS_BAD_TABLE`.
    """
    columns, rows = _parse(Path(path).expanduser())
    taken = sorted({name for name in columns[1:] if name in metrics or name.casefold() in RESERVED})
    if taken:
        raise _bad(path, f"its column {taken[0]!r} has the name of one in cases.csv; rename it")
    known = {case: rows[case] for case in cases if case in rows}
    if not known:
        raise _bad(
            path,
            f"none of its cases is among those evaluated: its first is {next(iter(rows), 'none')!r}, theirs "
            f"{cases[0]!r}",
        )
    groups = {
        column: {case: known[case][place] if case in known else "" for case in cases}
        for place, column in enumerate(columns[1:], start=1)
    }
    for column, by_case in groups.items():
        different = len(set(by_case.values()))
        if different > MOST_VALUES:
            raise _bad(
                path,
                f"its column {column!r} has {different} different values, {MOST_VALUES} at most make subgroups; "
                "take it out, or put ranges in the place of numbers",
            )
    return groups, [case for case in cases if case not in known]


def members(by_case: Mapping[str, str]) -> dict[str, list[str]]:
    """Return the cases of each value of a column, in the order of the values; the cases without one come last."""
    values = sorted(set(by_case.values()), key=lambda value: (not value, value))
    return {value or NOT_GIVEN: [case for case, its in by_case.items() if its == value] for value in values}


def _parse(path: Path) -> tuple[list[str], dict[str, list[str]]]:
    """Return the columns, ``case`` first, and the fields of each case in their order."""
    if not path.is_file():
        raise InputError("FILE_MISSING", f"{path} does not exist; give a table with a column `case`")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise _bad(path, "it is not UTF-8; save it as `CSV UTF-8`") from None
    lines = {mark: _fields(path, text, mark) for mark in DELIMITERS}
    by_mark = {mark: found for mark, found in lines.items() if found and "case" in _lower(found[0][1])}
    if not by_mark:
        header = max((found[0][1] for found in lines.values() if found), key=len, default=[])
        raise _bad(path, f"it has no column `case`, only {header}; its first line must name the columns")
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
        raise _bad(path, f"it has {found}; `case` and one or more others, each with a name, are needed")
    rows: dict[str, list[str]] = {}
    for number, fields in others:
        if len(fields) < len(header) or any(fields[len(header) :]):
            raise _bad(path, f"line {number} has {len(fields)} fields and the first line {len(header)}")
        case = fields.pop(at)
        if case in rows:
            raise _bad(path, f"line {number} has the case {case!r} again; one row for each is needed")
        rows[case] = [case, *fields]
    return [header.pop(at).casefold(), *header], rows


def _fields(path: Path, text: str, mark: str) -> list[tuple[int, list[str]]]:
    """Return the number and the fields of each line that is not empty."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=mark, skipinitialspace=True)
    try:
        stripped = ((reader.line_num, [field.strip() for field in fields]) for fields in reader)
        return [(number, fields) for number, fields in stripped if any(fields)]
    except csv.Error as error:
        raise _bad(path, f"it is no table ({error})") from None


def _lower(names: Sequence[str]) -> list[str]:
    return [name.casefold() for name in names]


def _bad(path: str | Path, found: str) -> InputError:
    return InputError("GROUPS_BAD_TABLE", f"{path}: {found}")
