"""Check labelled cases before anything is started."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from medseg.cases.label_maps import as_labels, check_ids, check_same_grid, ids_in
from medseg.cases.listed import Case
from medseg.errors import InputError
from medseg.read import read_volume


def check_cases(cases: Sequence[Case], label_ids: Sequence[int], *, channels: int = 1, threads: int = 4) -> None:
    """Read every case once and refuse the set where one cannot be trained on.

    Parameters
    ----------
    label_ids
        What labels may hold.
    channels
        How many each image must have.

    Raises
    ------
    InputError
        The first case's problem: an unreadable file, `CHANNELS_MISMATCH`, `GEOMETRY_CHANNEL_GRID`,
        `GEOMETRY_LABEL_GRID`, `LABEL_UNKNOWN_ID` or `LABEL_NOT_INTEGER`; the message says how many more
        cases have one.
    """

    def problem(case: Case) -> InputError | None:
        try:
            _check_case(case, set(label_ids), channels)
        except InputError as error:
            return error
        return None

    with ThreadPoolExecutor(threads) as pool:
        problems = [error for error in pool.map(problem, cases) if error is not None]
    if problems:
        more = f" (and {len(problems) - 1} more cases with a problem)" if len(problems) > 1 else ""
        raise InputError(problems[0].code, f"{problems[0].args[0]}{more}")


def _check_case(case: Case, label_ids: set[int], channels: int) -> None:
    image, label = read_volume(case["image"], channels=channels), read_volume(case["label"])
    check_same_grid(case["id"], image, label)
    check_ids(ids_in(as_labels(label, case["label"])), label_ids, case["label"])
