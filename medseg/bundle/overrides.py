"""Config values given on top of a config: those that no config has are refused."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medseg.errors import InputError

if TYPE_CHECKING:
    pass

from medseg.bundle.metadata import META, read_metadata

MONAI_ARGUMENTS = {"meta_file", "logging_file", "init_id", "run_id", "final_id", "tracking", "workflow_name"}


def check_overrides(configs: str | Path | Sequence[str | Path], overrides: Mapping[str, Any]) -> None:
    """Refuse an override that no config or metadata has, or whose value is of another kind.

    Raises
    ------
    InputError
        `CONFIG_UNKNOWN_KEY` with the nearest known key; `CONFIG_BAD_VALUE`.
    """
    from monai.bundle import ConfigParser

    files = [Path(file).resolve() for file in ([configs] if isinstance(configs, (str, Path)) else configs)]
    known = {META: read_metadata(files[0].parent.parent), **ConfigParser.load_config_files(files)}
    for key, value in overrides.items():
        if key in MONAI_ARGUMENTS:
            continue
        place: Any = known
        for part in key.replace("::", "#").removeprefix("+").split("#"):
            names = list(place) if isinstance(place, dict) else list(map(str, range(_length(place))))
            if part not in names:
                raise _unknown_key(key, part, names, files)
            place = place[part] if isinstance(place, dict) else place[int(part)]
        if _is_number(place) and isinstance(value, str) and not value.startswith(("$", "@", "%")):
            raise InputError("CONFIG_BAD_VALUE", f"--{key} {value!r}: a number such as {place} is needed")


def _length(value: Any) -> int:
    return len(value) if isinstance(value, list) else 0


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _unknown_key(key: str, part: str, names: list[str], files: list[Path]) -> InputError:
    settable = [name for name in names if name not in (META, "imports", "initialize", "run", "finalize")]
    near = difflib.get_close_matches(part, settable, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(sorted(settable))}"
    return InputError("CONFIG_UNKNOWN_KEY", f"--{key}: {files[0].name} has no {part!r}; {hint}")
