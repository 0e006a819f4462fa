"""The choices of a plan: each a plain key with its value and the reason for it, the user's to override."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from medseg.errors import InputError

NUMBER, INTEGER, BOOLEAN, TEXT, NUMBERS, INTEGERS, NAMES, ANGLES, LEVELS, REGIONS = (
    *("a number", "a whole number", "True or False", "text", "a list of numbers", "a list of whole numbers"),
    "names by id, such as {1: 'liver'}",
    "a number, or a list of one an axis",
    "a list of whole numbers for each level",
    "label ids by name, such as {'tumour': [1, 2]}",
)
# What may be given, and of what kind; docs/how-to/plan.md says what each means
KEYS = {
    # the data set
    "name": TEXT, "labels": NAMES, "regions": REGIONS, "ignore_label": INTEGER, "modality": TEXT,
    "allow_empty": BOOLEAN,
    # what there is to spend
    "dims": INTEGER, "device": TEXT, "budget_mib": NUMBER, "max_minutes": NUMBER,
    # preprocessing
    "orientation": TEXT, "spacing_mm": NUMBERS, "crop_above": NUMBER,
    "interpolation": TEXT, "coarse_axis": INTEGER,
    "percentiles": NUMBERS, "window_hu": NUMBERS, "mean_hu": NUMBER, "sd_hu": NUMBER,
    # network
    "patch_size": INTEGERS, "architecture": TEXT, "features": INTEGERS, "dropout": NUMBER,
    "strides": LEVELS, "kernels": LEVELS, "deep_supervision": BOOLEAN,
    "full_resolution": BOOLEAN, "residual_units": INTEGER, "normalization": TEXT, "activation": TEXT,
    # training
    "batch_size": INTEGER, "patches_per_case": INTEGER, "learning_rate": NUMBER, "max_epochs": INTEGER,
    "val_interval": INTEGER, "seed": INTEGER, "validation": NUMBER, "test": NUMBER, "by_patient": BOOLEAN,
    "flip_axes": INTEGERS, "rotate_rad": ANGLES, "scale": ANGLES, "shear": NUMBER, "foreground_share": NUMBER,
    # inference
    "overlap": NUMBER, "inference_batch_size": INTEGER, "largest_component": INTEGERS,
}  # fmt: skip
COUNTS = (
    *("patch_size", "features", "batch_size", "patches_per_case", "max_epochs", "val_interval"),
    "inference_batch_size",
)  # of which there is at least one each
GIVEN = "given"


@dataclass(frozen=True)
class Choice:
    """A value, why it was chosen, and whether the user gave it."""

    value: Any
    reason: str
    given: bool = False


class Choices(dict[str, Choice]):
    """The choices made so far, by key; what the user gave comes before what a rule says.

    Parameters
    ----------
    given
        Values by key.

    Raises
    ------
    InputError
        `CONFIG_UNKNOWN_KEY` with the nearest key, `CONFIG_BAD_VALUE`.
    """

    def __init__(self, given: Mapping[str, Any]) -> None:
        super().__init__()
        for key, value in given.items():
            _check(key, value)
        self.given = dict(given)

    def take(self, key: str, value: Any, reason: str) -> Any:
        """Note what a rule chose, or what was given in its place, and return that."""
        if self.given.get(key) is not None:
            self[key] = Choice(self.given[key], GIVEN, given=True)
        else:
            self[key] = Choice(value, reason)
        return self[key].value

    def as_json(self) -> dict[str, dict[str, Any]]:
        return {key: {"value": each.value, "reason": each.reason} for key, each in self.items()}


def _check(key: str, value: Any) -> None:
    if key not in KEYS:
        near = difflib.get_close_matches(key, KEYS, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(KEYS)}"
        raise InputError("CONFIG_UNKNOWN_KEY", f"{key}: a plan has no such key; {hint}")
    kind = KEYS[key]
    if value is not None and not _is_of(kind, value):
        raise InputError("CONFIG_BAD_VALUE", f"{key}={value!r}: {kind} is needed")
    if (
        key in COUNTS
        and value is not None
        and min(value if isinstance(value, (list, tuple)) else [value], default=0) < 1
    ):
        raise InputError("CONFIG_BAD_VALUE", f"{key}={value!r}: {kind} from 1 on is needed")


def _is_of(kind: str, value: Any) -> bool:
    if kind == NAMES:
        return isinstance(value, Mapping) and all(str(key).isdigit() for key in value)
    if kind == REGIONS:
        return isinstance(value, Mapping) and all(_is_of(INTEGERS, ids) for ids in value.values())
    if kind == LEVELS:
        return isinstance(value, (list, tuple)) and all(_is_of(INTEGERS, level) for level in value)
    if kind == ANGLES:
        return _is_of(NUMBERS, value) or _is_of(NUMBER, value)
    if kind in (NUMBERS, INTEGERS):
        one = NUMBER if kind == NUMBERS else INTEGER
        return isinstance(value, (list, tuple)) and all(_is_of(one, each) for each in value)
    if kind in (BOOLEAN, TEXT):
        return isinstance(value, bool if kind == BOOLEAN else str)
    return isinstance(value, int if kind == INTEGER else (int, float)) and not isinstance(value, bool)
