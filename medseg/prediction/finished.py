"""Whether anything is left to do, told without MONAI: opening a finished folder again takes a second, not ten."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from medseg.bundle import META, config_file, read_metadata
from medseg.cases import find_cases
from medseg.files import sweep
from medseg.prediction.manifest import MANIFEST, Record, finished, read_newest, share, wanted

log = logging.getLogger(__name__)

# What a config has to say, for what follows here to be what it would do
KNOWN = {
    "imports": ["$import medseg"],
    "bundle_root": "$medseg.bundle.root()",
    "cases": "$medseg.cases.find_cases(@dataset_dir)",
    "initialize": ["$medseg.bundle.begin()"],
    "inference": ["$@records"],
}
CALL = "$medseg.prediction.predict_cases(@cases, @output_dir, "
ARGUMENTS = (
    "bundle=@bundle_root",
    "weights=@weights",
    "formats=@formats",
    "seg_type=@seg_type",
    "select=dict(series_uid=@series_uid, description=@description, modality=@modality)",
    "shard=@shard",
    "mirror_axes=@mirror_axes",
)
WEIGHTS = "$@bundle_root + '/models/model.pt'"
ALLOWED: dict[str, Any] = {  # overrides whose values are checked here as the config's own run would
    **dict.fromkeys(("dataset_dir", "output_dir", "weights", "seg_type", "shard"), str),
    **dict.fromkeys(("series_uid", "description", "modality"), str),
    **dict.fromkeys(("cases", "formats", "mirror_axes"), list),
}
HARMLESS = {"device": ("auto", "cpu"), "precision": ("auto", "float32", "bfloat16")}
POSITIVE = ("jobs", "read_timeout_s", "budget_mib")


def records_if_finished(bundle: str | Path, overrides: Mapping[str, Any]) -> list[Record] | None:
    """Return what ``inference`` would where every case is done already; None where that has to be run to be known.

    Parameters
    ----------
    overrides
        As for `medseg.bundle.run_bundle`; with any that this cannot judge, the answer is None.

    Raises
    ------
    InputError
        As ``inference`` would: `BUNDLE_MISSING`, `FILE_MISSING`, `CONFIG_BAD_VALUE` and others.
    """
    path = config_file(bundle, "inference")
    output_dir = Path(overrides["output_dir"])
    if not (output_dir / MANIFEST).is_file():
        return None
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        return None
    if not _is_known(config) or not all(_is_plain(key, value, config) for key, value in overrides.items()):
        return None
    root = path.parent.parent
    metadata = read_metadata(root)
    values = {**config, **overrides}
    values["weights"] = f"{root}/models/model.pt" if values["weights"] == WEIGHTS else values["weights"]
    select = {key: _value(values[key], metadata) for key in ("series_uid", "description", "modality")}
    rest = [values[key] for key in ("weights", "formats", "seg_type", "shard", "dataset_dir", "mirror_axes")]
    if None in select.values() or any(map(_is_expression, rest)) or not _are_files(values["weights"]):
        return None
    cases = share(
        overrides["cases"] if "cases" in overrides else find_cases(values["dataset_dir"]), values["shard"]
    )
    if not {case["id"] for case in cases} <= set(read_newest(output_dir)):
        return None
    how = {key: values[key] for key in ("formats", "seg_type", "mirror_axes")} | {"select": select}
    done = finished(cases, output_dir, wanted(root, metadata, values["weights"], **how))
    if len(done) < len(cases):
        return None
    sweep(output_dir)
    log.info("%d of %d cases done, in %s", len(cases), len(cases), output_dir)
    return [done[case["id"]] for case in cases]


def _are_files(paths: str | list[str]) -> bool:
    return bool(paths) and all(Path(path).is_file() for path in ([paths] if isinstance(paths, str) else paths))


def _is_known(config: Mapping[str, Any]) -> bool:
    records = config.get("records")
    return (
        all(config.get(key) == value for key, value in KNOWN.items())
        and isinstance(records, str)
        and records.startswith(CALL)
        and all(argument in records for argument in ARGUMENTS)
    )


def _is_plain(key: str, value: Any, config: Mapping[str, Any]) -> bool:
    """Say whether an override is a value of the right kind, of which nothing is to be computed or checked."""
    if key not in config or _is_expression(value):
        return False
    if key in HARMLESS:
        return value in HARMLESS[key]
    if key in POSITIVE:
        return isinstance(value, (int, float)) and value >= 1
    if key == "weights" and isinstance(value, list):
        return all(isinstance(path, str) for path in value)
    return isinstance(value, ALLOWED.get(key, ()))


def _is_expression(value: Any) -> bool:
    """Say whether MONAI would compute a value: text that begins so, also inside a list of cases."""
    if isinstance(value, (list, dict)):
        return any(map(_is_expression, value.values() if isinstance(value, dict) else value))
    return isinstance(value, str) and value.startswith(("$", "@", "%"))


def _value(value: Any, metadata: Any) -> str | None:
    """Return a text, or the one that ``@_meta_::key::key`` names; None for any other expression."""
    if isinstance(value, str) and value.startswith(f"@{META}::"):
        keys = value.split("::")[1:]
        value = metadata
        for key in keys:
            value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, str) and not _is_expression(value) else None
