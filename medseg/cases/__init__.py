"""Cases of a data set: found, inspected, split, checked; label maps and their grids; public data sets fetched."""

from medseg.cases.apart import check_apart
from medseg.cases.checks import check_cases
from medseg.cases.find import LAYOUTS, Case, case_id, find_cases, images_near, lists_cases
from medseg.cases.ids import check_case_ids
from medseg.cases.inspection import inspect_path
from medseg.cases.label_maps import (
    as_labels,
    check_ids,
    check_same_grid,
    ids_in,
    on_same_grid,
    reaches_outside,
    to_grid,
)
from medseg.cases.public_data import fetch
from medseg.cases.splits import choose_cases, load_or_make_split, read_split, split_cases

__all__ = [
    "LAYOUTS",
    "Case",
    "as_labels",
    "case_id",
    "check_apart",
    "check_case_ids",
    "check_cases",
    "check_ids",
    "check_same_grid",
    "choose_cases",
    "fetch",
    "find_cases",
    "ids_in",
    "images_near",
    "inspect_path",
    "lists_cases",
    "load_or_make_split",
    "on_same_grid",
    "reaches_outside",
    "read_split",
    "split_cases",
    "to_grid",
]
