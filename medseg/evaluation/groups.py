"""A table of the user's that puts each case into subgroups: by scanner, sex, centre or what else a column says."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from medseg.cases import bad_table, read_table

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
    columns, rows = read_table(path)
    taken = sorted({name for name in columns[1:] if name in metrics or name.casefold() in RESERVED})
    if taken:
        raise bad_table(path, f"its column {taken[0]!r} has the name of one in cases.csv; rename it")
    known = {case: rows[case] for case in cases if case in rows}
    if not known:
        raise bad_table(
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
            raise bad_table(
                path,
                f"its column {column!r} has {different} different values, {MOST_VALUES} at most make subgroups; "
                "take it out, or put ranges in the place of numbers",
            )
    return groups, [case for case in cases if case not in known]


def members(by_case: Mapping[str, str]) -> dict[str, list[str]]:
    """Return the cases of each value of a column, in the order of the values; the cases without one come last."""
    values = sorted(set(by_case.values()), key=lambda value: (not value, value))
    return {value or NOT_GIVEN: [case for case, its in by_case.items() if its == value] for value in values}
