"""Config values given on top of a config: checked against what the config holds, then put into it."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from typing import Any

from medseg.bundle.known_keys import SECTIONS, TOP
from medseg.bundle.metadata import META
from medseg.errors import InputError

# Of `monai.bundle run` and `create_workflow` themselves, not of a config
MONAI_ARGUMENTS = {
    *("run_id", "init_id", "final_id", "config_file", "meta_file", "logging_file", "args_file"),
    *("tracking", "workflow_name", "workflow_type", "properties_path"),
}
EXPRESSIONS = ("$", "@", "%")  # what MONAI computes: text that begins so


def is_expression(value: Any) -> bool:
    """Say whether MONAI would compute a value, or one inside it."""
    if isinstance(value, (list, tuple, dict)):
        return any(map(is_expression, value.values() if isinstance(value, dict) else value))
    return isinstance(value, str) and value.startswith(EXPRESSIONS)


def apply_overrides(values: Mapping[str, Any], overrides: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return a config with `overrides` in it.

    Parameters
    ----------
    values
        A config by id, the metadata under ``_meta_``.
    overrides
        Values by id; an id inside another is written with ``::`` or ``#``.
    name
        Of the config's file, for messages.

    Raises
    ------
    InputError
        `CONFIG_UNKNOWN_KEY` with the nearest known key: MONAI would take it for a new item and ignore it.
        `CONFIG_BAD_VALUE`: text in the place of a number.
    """
    changed = deepcopy(dict(values))
    for key, value in overrides.items():
        if key in MONAI_ARGUMENTS:
            continue
        place: Any = changed
        parts = list(_parts(key))
        for depth, part in enumerate(parts):
            names = list(place) if isinstance(place, dict) else list(map(str, range(_length(place))))
            if part not in names and is_known_number(parts[: depth + 1]):
                place[part] = {} if depth < len(parts) - 1 else None  # has a default, and is not written there
                names.append(part)
            if part not in names:
                raise _unknown_key(key, part, names, name)
            index = part if isinstance(place, dict) else int(part)
            if depth < len(parts) - 1:
                place = place[index]
        before = follow(values, place[index])
        if _is_number(before) and isinstance(value, str) and not is_expression(value):
            raise InputError("CONFIG_BAD_VALUE", f"--{key} {value!r}: a number such as {before} is needed")
        place[index] = value
    return changed


def is_known_number(parts: Sequence[str]) -> bool:
    """Say whether the parts of an id lead to a key below ``medseg`` that a bundle's metadata may have."""
    if tuple(parts[:2]) != (META, "medseg"):
        return False
    section, *keys = [*parts[2:], ""][:2] if len(parts) < 4 else parts[2:]
    if keys in ([], [""]):
        return section in TOP or section in SECTIONS
    return len(keys) == 1 and keys[0] in SECTIONS.get(section, {})


def follow(values: Mapping[str, Any], value: Any) -> Any:
    """Return the plain value that a reference such as ``@_meta_::medseg::patch_size`` leads to.

    What is an expression, or leads to one, is returned as it is.
    """
    seen = set()
    while isinstance(value, str) and value.startswith("@") and value not in seen:
        seen.add(value)
        place: Any = values
        for part in _parts(value[1:]):
            if not isinstance(place, dict) or part not in place:
                return value
            place = place[part]
        value = place
    if isinstance(value, dict):
        return {key: follow(values, item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [follow(values, item) for item in value]
    return value


def _parts(key: str) -> Iterator[str]:
    yield from key.removeprefix("+").replace("::", "#").split("#")


def _length(value: Any) -> int:
    return len(value) if isinstance(value, list) else 0


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _unknown_key(key: str, part: str, names: list[str], file: str) -> InputError:
    settable = [name for name in names if name not in (META, "imports", "initialize", "run", "finalize")]
    near = difflib.get_close_matches(part, settable, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(sorted(settable))}"
    return InputError("CONFIG_UNKNOWN_KEY", f"--{key}: {file} has no {part!r}; {hint}")
