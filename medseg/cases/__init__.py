"""Cases of a data set: found, split, checked; label maps and the grids they lie on; public data sets fetched."""

from medseg.cases.checks import check_cases
from medseg.cases.find import LAYOUTS, Case, case_id, find_cases, images_near, lists_cases
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
    "check_cases",
    "check_ids",
    "check_same_grid",
    "choose_cases",
    "fetch",
    "find_cases",
    "ids_in",
    "images_near",
    "lists_cases",
    "load_or_make_split",
    "on_same_grid",
    "reaches_outside",
    "read_split",
    "split_cases",
    "to_grid",
]
