"""What was edited or given is checked before anything starts: every key known, every value one that it can be."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from medseg.bundle.known_keys import INFERENCE_IDS, INTENSITY, REQUIRED, SECTIONS, TOP, TRAINING_IDS
from medseg.bundle.metadata import META
from medseg.bundle.overrides import follow, is_expression
from medseg.bundle.references import check_references
from medseg.bundle.rules import Rule
from medseg.errors import InputError

IDS = {"train.json": TRAINING_IDS, "inference.json": INFERENCE_IDS}
NUMBERS = re.compile(r"_meta_(?:::|#)medseg(?:::|#)(\w+)(?:(?:::|#)(\w+))?")
SPREAD = re.compile(r"([\w.]+)\([^()]*(?:\([^()]*\)[^()]*)*\*\*@_meta_::medseg::(\w+)")


def check_config(values: Mapping[str, Any], file: Path) -> None:
    """Refuse a config, with its metadata in it, that cannot do its job.

    Keys that the bundle's configs read themselves are known too, and a section that they give whole to a function
    that is not medseg's may hold any.

    Parameters
    ----------
    values
        By id, overrides in it.
    file
        Where it stands.

    Raises
    ------
    InputError
        `CONFIG_UNKNOWN_KEY`: a key nobody reads, with the nearest one that is read, or a reference to what is not
        there. `CONFIG_BAD_VALUE`: a value that a key cannot have, or values that contradict each other.
    """
    numbers = values[META].get("medseg", {})
    configs = sorted(file.parent.glob("*.json"))
    _check_keys(numbers, "\n".join(path.read_text(encoding="utf-8", errors="replace") for path in configs))
    check_references(values, file.name)
    _check_together(values[META], numbers)
    for key, rule in IDS.get(file.name, {}).items():
        if key in values:
            _check_value(f"--{key}", follow(values, values[key]), rule)


def _check_keys(numbers: Mapping[str, Any], written: str) -> None:
    read = set(NUMBERS.findall(written))
    foreign = {section for function, section in SPREAD.findall(written) if not function.startswith("medseg.")}
    names = [*TOP, *SECTIONS, *(section for section, _ in read)]
    for section, value in numbers.items():
        _check_known(section, names, "metadata.json, medseg")
        if section in TOP:
            _check_value(f"metadata.json, medseg, {section}", value, TOP[section])
        elif section in SECTIONS and isinstance(value, Mapping):
            known = {**{key: None for part, key in read if part == section and key}, **SECTIONS[section]}
            for key, item in value.items() if section not in foreign else ():
                _check_known(key, list(known), f"metadata.json, medseg, {section}")
                _check_value(f"metadata.json, medseg, {section}, {key}", item, known[key])
            for key in REQUIRED.get(section, ()) if section not in foreign else ():
                if key not in value:
                    raise InputError(
                        "CONFIG_BAD_VALUE", f"metadata.json, medseg, {section} has no {key!r}; add it"
                    )


def _check_together(metadata: Mapping[str, Any], numbers: Mapping[str, Any]) -> None:
    """Refuse numbers that are each fine and contradict others."""
    intensity = numbers.get("preprocessing", {}).get("intensity", [])
    for each in intensity if isinstance(intensity, list) else [intensity]:
        _check_intensity(each)
    split = numbers.get("split", {})
    if split.get("validation", 0.2) + split.get("test", 0.0) >= 1:
        raise _contradiction("split", "validation and test leave nothing to train on; lower them")
    patch, dims = numbers.get("patch_size", []), numbers.get("network", {}).get("spatial_dims")
    if patch and dims and len(patch) != dims:
        raise _contradiction("patch_size", f"{patch} has {len(patch)} axes, and network, spatial_dims is {dims}")
    for section, key in (("augmentation", "flip_axes"), ("inference", "mirror_axes")):
        axes = numbers.get(section, {}).get(key, [])
        if dims and isinstance(axes, list) and any(axis >= dims for axis in axes):
            raise _contradiction(f"{section}, {key}", f"{axes}; the network's axes are 0 to {dims - 1}")
    _check_components(metadata, numbers)


def _check_components(metadata: Mapping[str, Any], numbers: Mapping[str, Any]) -> None:
    channels = metadata.get("network_data_format", {}).get("outputs", {}).get("pred", {}).get("channel_def", {})
    ids = {int(i) for i in channels if str(i).isdigit()} - {0}
    if regions := numbers.get("regions"):
        ids = {int(i) for region in regions.values() for i in region}
    for entry in numbers.get("postprocessing", {}).get("largest_component", []):
        for label in entry if isinstance(entry, list) else [entry]:
            if label not in ids:
                place = "postprocessing, largest_component"
                raise _contradiction(place, f"{label} is no label of channel_def; there are {sorted(ids)}")


def _contradiction(place: str, found: str) -> InputError:
    return InputError("CONFIG_BAD_VALUE", f"metadata.json, medseg, {place}: {found}")


def _check_intensity(intensity: Mapping[str, Any]) -> None:
    place = "metadata.json, medseg, preprocessing, intensity"
    kind = intensity.get("kind")
    if kind not in INTENSITY:
        raise InputError("CONFIG_BAD_VALUE", f"{place}: kind {kind!r}; {' and '.join(INTENSITY)} are known")
    for key, value in intensity.items():
        _check_known(key, list(INTENSITY[kind]), f"{place} of {kind}")
        _check_value(f"{place}, {key}", value, INTENSITY[kind][key])


def _check_known(key: str, names: list[str], place: str) -> None:
    if key not in names:
        near = difflib.get_close_matches(key, names, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(sorted({*names}))}"
        raise InputError("CONFIG_UNKNOWN_KEY", f"{place}: {key!r} is read by nobody; {hint}")


def _check_value(place: str, value: Any, rule: Rule | None) -> None:
    if rule is not None and not is_expression(value) and not rule.allows(value):
        raise InputError("CONFIG_BAD_VALUE", f"{place} {json.dumps(value, default=str)}: allowed is {rule.words}")
