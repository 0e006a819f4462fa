"""Cases of a data set: found, inspected, checked, split; who they are of; label maps, tables; public data sets."""

from medseg.cases.apart import check_apart
from medseg.cases.checks import check_cases
from medseg.cases.described import Described, describe
from medseg.cases.find import LAYOUTS, find_cases, images_near, list_cases
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
from medseg.cases.listed import Case, case_id, images_of, lists_cases
from medseg.cases.patients import patient_of, patients_of
from medseg.cases.public_data import fetch
from medseg.cases.regions import (
    Regions,
    painted,
    painted_ids,
    painted_masks,
    region_channels,
    region_mask,
)
from medseg.cases.splits import FOLDS, choose_cases, fold_split, load_or_make_split, read_split, split_cases
from medseg.cases.tables import bad_table, read_table

__all__ = [
    "FOLDS",
    "LAYOUTS",
    "Case",
    "Described",
    "Regions",
    "as_labels",
    "bad_table",
    "case_id",
    "check_apart",
    "check_case_ids",
    "check_cases",
    "check_ids",
    "check_same_grid",
    "choose_cases",
    "describe",
    "fetch",
    "find_cases",
    "fold_split",
    "ids_in",
    "images_near",
    "images_of",
    "inspect_path",
    "list_cases",
    "lists_cases",
    "load_or_make_split",
    "on_same_grid",
    "painted",
    "painted_ids",
    "painted_masks",
    "patient_of",
    "patients_of",
    "reaches_outside",
    "read_split",
    "read_table",
    "region_channels",
    "region_mask",
    "split_cases",
    "to_grid",
]
