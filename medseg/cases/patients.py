"""Who a case is of: cases of one patient resemble each other, so they belong to one part of a split."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from medseg.cases.listed import Case
from medseg.cases.tables import bad_table, read_table
from medseg.errors import some

COLUMN = "patient"
# How ids say who, the whole id in each: the first group is the patient
IN_IDS = (
    re.compile(r"(sub-[A-Za-z0-9]+)(?:[_/].*)?"),  # BIDS: sub-01_ses-02_T1w
    re.compile(r"(patient\w*?\d+)_.+"),  # ACDC: patient001_frame01
    re.compile(r"(.+?)[_-](?:frame|phase|ses|session|visit|tp|timepoint)[_-]?\d+", re.IGNORECASE),
    re.compile(r"(.+?)[_-](?:ED|ES|EDES)"),  # M&Ms: A0S9V9_ED, end diastole and end systole
    re.compile(r"(\d+)_\d?HC"),  # HC18: 010_HC and 010_2HC
)


def patient_of(case_id: str) -> str:
    """Return the patient that a case's id names by one of the rules in `IN_IDS`; the id itself where none fits."""
    found = (rule.fullmatch(case_id) for rule in IN_IDS)
    return next((match[1] for match in found if match), case_id)


def patients_of(cases: Sequence[Case], table: str | Path | None = None) -> dict[str, str]:
    """Return the patient of each case by its id.

    Parameters
    ----------
    table
        A table with the columns ``case`` and ``patient``; without one, the ids say who (`patient_of`).

    Raises
    ------
    InputError
        `FILE_MISSING`, `GROUPS_BAD_TABLE`: no column ``patient``, or a case without one.
    """
    ids = [case["id"] for case in cases]
    if table is None:
        return {name: patient_of(name) for name in ids}
    columns, rows = read_table(table)
    if COLUMN not in columns:
        raise bad_table(table, f"it has the columns {', '.join(columns)} and none called {COLUMN!r}; add it")
    place = columns.index(COLUMN)
    without = [name for name in ids if name not in rows or not rows[name][place]]
    if without:
        raise bad_table(table, f"it names no patient of {some(without)}; each case of the data set needs one")
    return {name: rows[name][place] for name in ids}
