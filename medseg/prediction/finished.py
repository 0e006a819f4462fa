"""What is done already: whether a record is of this input and model, and whether a whole folder is finished.

A finished folder is recognised without MONAI, in a second instead of ten.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medseg.bundle import Config, NotPlain, open_config, own_weights, weight_files
from medseg.cases import Case, check_case_ids, find_cases, images_of
from medseg.files import sha256_of, sweep
from medseg.prediction.claims import sweep_marks
from medseg.prediction.manifest import MANIFEST, read_newest
from medseg.prediction.origin import Origin, origin_of, same_model
from medseg.prediction.record import Record
from medseg.prediction.resources import Resources
from medseg.prediction.shards import share
from medseg.read import Selection
from medseg.write import OutputFormats

log = logging.getLogger(__name__)

# Parts of ``inference.json`` that have to be as they are in our bundles for the answer to be what it would do
KNOWN_STEPS = {"initialize": ["$medseg.bundle.begin()"], "inference": ["$@records"]}
FIND_CASES = {
    "_target_": "medseg.cases.find_cases",
    "path": "@dataset_dir",
    "channels": "$@_meta_::medseg::network.get('channels', 1)",
}
MIRROR_AXES = "$@_meta_::medseg::inference.get('mirror_axes', [])"
# Of our bundles, and of those of before
OWN_WEIGHTS = ("$medseg.bundle.own_weights(@bundle_root)", "$@bundle_root + '/models/model.pt'")


@dataclass(frozen=True)
class Wanted:
    """What a record has to be of for its case to be done.

    Attributes
    ----------
    origin
        The model.
    selection
        Which volume of the input, and what may be repaired in it.
    formats
        The files that have to be there.
    """

    origin: Origin
    selection: Selection
    formats: OutputFormats


def is_done(case: Case, record: Record, output_dir: str | Path, wanted: Wanted) -> bool:
    """Say whether a record is of this input, model and selection, and its outputs have the recorded hashes."""
    made = {output.format: output for output in record.outputs}
    same = (
        record.status == "done"
        and _is_wanted(record, wanted)
        and set(wanted.formats.names) <= set(made)
        and ("dicom-seg" not in wanted.formats.names or made["dicom-seg"].seg_type == wanted.formats.seg_type)
    )
    try:
        files = [(Path(output_dir) / output.path, output.sha256) for output in record.outputs]
        return (
            same
            and record.input.is_of(case["image"])
            and all(path.is_file() and sha256_of(path) == digest for path, digest in files)
        )
    except (OSError, ValueError):  # a file that cannot be read, a path that cannot be
        return False


def settles(case: Case, record: Record, *, output_dir: str | Path, wanted: Wanted) -> bool:
    """Say whether a record that another process has just added is what this one would add: done, or failed too."""
    failed = record.status == "failed" and list(record.inputs) == images_of(case) and _is_wanted(record, wanted)
    return failed or is_done(case, record, output_dir, wanted)


def _is_wanted(record: Record, wanted: Wanted) -> bool:
    return same_model(record.bundle, wanted.origin.as_json()) and record.select == wanted.selection.as_json()


def finished(cases: Iterable[Case], output_dir: str | Path, wanted: Wanted) -> dict[str, Record]:
    """Return the records of the cases whose outputs are there, whole, and as `wanted` says."""
    newest = read_newest(output_dir)
    known = [(case, newest[case["id"]]) for case in cases if case["id"] in newest]
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        done = list(pool.map(lambda pair: is_done(pair[0], pair[1], output_dir, wanted), known))
    return {case["id"]: record for (case, record), yes in zip(known, done, strict=True) if yes}


def records_if_finished(bundle: str | Path, overrides: Mapping[str, Any]) -> list[Record] | None:
    """Return what ``inference`` would where every case is done already; None where that has to be run to be known.

    Parameters
    ----------
    overrides
        As for `medseg.bundle.run_bundle`; with any that this cannot judge, the answer is None.

    Raises
    ------
    InputError
        As ``inference`` would: `BUNDLE_MISSING`, `CONFIG_UNKNOWN_KEY`, `CONFIG_BAD_VALUE`, `FILE_MISSING`, others.
    """
    output_dir = Path(overrides["output_dir"])
    if not (output_dir / MANIFEST).is_file():
        return None
    config = open_config(bundle, "inference", overrides)
    try:
        asked = _asked(config)
    except NotPlain:
        return None
    if not {case["id"] for case in asked.cases} <= set(read_newest(output_dir)):
        return None  # before weights are hashed
    wanted = asked.wanted()
    done = finished(asked.cases, output_dir, wanted)
    if len(done) < len(asked.cases):
        return None
    sweep(output_dir)
    sweep_marks(output_dir, done)  # a run may have been killed right after it recorded a case
    log.info("%d of %d cases done, in %s", len(done), len(done), output_dir)
    return [done[case["id"]] for case in asked.cases]


@dataclass(frozen=True)
class _Asked:
    """What a config asks for, as far as it takes no MONAI to know; the cases are those of its shard."""

    cases: Sequence[Case]
    wanted: Callable[[], Wanted]


def _asked(config: Config) -> _Asked:
    """Return what a config's ``inference`` would predict and want.

    Raises
    ------
    NotPlain
        MONAI has to be asked: the config does more than to predict cases, or computes what matters.
    """
    values = config.values
    records = values.get("records")
    if not isinstance(records, dict) or any(values.get(key) != value for key, value in KNOWN_STEPS.items()):
        raise NotPlain("inference")
    if records.get("_target_") != "medseg.prediction.predict_cases":
        raise NotPlain("records")
    parts = {key: _arguments(config, f"records::{key}") for key in ("selection", "formats", "resources")}
    resources = Resources(**parts["resources"])
    weights = own_weights(config.root) if values["weights"] in OWN_WEIGHTS else config.plain("weights")
    paths = weight_files(weights)
    if resources.device not in ("auto", "cpu") or not all(Path(path).is_file() for path in paths):
        raise NotPlain("device, weights")  # which the run refuses if they are not there
    mirror_axes, settings = _mirror_axes(config), config.plain("settings")
    selection, formats = Selection(**parts["selection"]), OutputFormats(**parts["formats"])

    def wanted() -> Wanted:
        digest = config.sha256(settings)
        return Wanted(origin_of(config.root, weights, mirror_axes, digest), selection, formats)

    if values["cases"] == FIND_CASES:
        channels = config.metadata.network_channels
        cases: Sequence[Case] = find_cases(config.plain("dataset_dir"), channels=channels)
    else:
        cases = config.plain("cases")
        if not isinstance(cases, list):
            raise NotPlain("cases")
        check_case_ids(cases)
    return _Asked(share(cases, config.plain("shard")), wanted)


def _mirror_axes(config: Config) -> Sequence[int]:
    """Return the axes that images are mirrored along, by the metadata unless the call says another thing."""
    if config.values["mirror_axes"] == MIRROR_AXES:
        return config.metadata.values["medseg"]["inference"].get("mirror_axes", [])
    return config.plain("mirror_axes")


def _arguments(config: Config, key: str) -> dict[str, Any]:
    """Return the arguments of a ``_target_`` dictionary."""
    return {name: value for name, value in config.plain(key).items() if name != "_target_"}
