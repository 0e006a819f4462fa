"""What made the numbers: versions, the bundle, and the hash of every file that was compared. Nothing personal."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from medseg.bundle import bundle_folder, read_metadata
from medseg.files import sha256_of
from medseg.prediction import Record, read_newest


def versions(metrics: Sequence[str]) -> dict[str, str]:
    """Return the versions of what computes the numbers."""
    names = ["numpy", "scipy", *(["monai"] if "cldice" in metrics else [])]
    return {"python": platform.python_version(), **{name: version(name) for name in names}}


def bundle_facts(bundle: str | Path) -> dict[str, Any]:
    """Return a bundle's name, version and hashes, as a manifest records them; its weights' where it has some."""
    folder = bundle_folder(bundle)
    metadata, weights = read_metadata(folder), folder / "models" / "model.pt"
    return {
        "name": metadata.name,
        "version": metadata.version,
        "weights_sha256": sha256_of(weights) if weights.is_file() else None,
        "metadata_sha256": sha256_of(folder / "configs" / "metadata.json"),
    }


def made_by(
    predictions: Mapping[str, str], hashes: Mapping[str, str], bundle: str | Path | None
) -> tuple[dict[str, Any] | None, list[str]]:
    """Return the bundle that made these predictions, and what is doubtful about that.

    The manifest beside the predictions says it. Where there is none, `bundle` is given for what it is, the one
    that the labels' names are from.

    Parameters
    ----------
    predictions
        The path of each case's label map.
    hashes
        The sha256 of each.
    bundle
        A bundle, as the user named it.

    Returns
    -------
    dict or None
        ``name``, ``version``, ``weights_sha256``, ``metadata_sha256``, and ``known_from``: ``manifest.jsonl`` or
        ``--bundle``. None where none is known, or where several made the predictions.
    list of str
        Warnings.
    """
    given = None if bundle is None else bundle_facts(bundle)
    folders = {Path(path).parent for path in predictions.values()}
    newest = {case: record for folder in folders for case, record in read_newest(folder).items()}
    records = {case: newest[case] for case in predictions if case in newest and newest[case].status == "done"}
    if not records:
        return (given and {**given, "known_from": "--bundle"}), []
    found = {repr(record.bundle): record.bundle for record in records.values()}
    notes = []
    changed = [case for case, record in records.items() if not _is_recorded(record, hashes[case])]
    if changed:
        notes.append(f"{_count(changed)} not the file that the predictions' manifest.jsonl records: {changed[0]}")
    unknown = [case for case in predictions if case not in records]
    if unknown:
        notes.append(f"{_count(unknown)} not in the predictions' manifest.jsonl: {unknown[0]}")
    if len(found) > 1:
        notes.append(f"{len(found)} different models or settings made the predictions, by their manifest.jsonl")
        return None, notes
    (recorded,) = found.values()
    if given and recorded and any(recorded.get(key) != given[key] for key in ("name", "metadata_sha256")):
        notes.append("the predictions' manifest.jsonl names another bundle, or another state of it, than --bundle")
    return ({**recorded, "known_from": "manifest.jsonl"} if recorded else None), notes


def _is_recorded(record: Record, digest: str) -> bool:
    label_maps = [output for output in record.outputs if output.format == "nifti"]
    return not label_maps or any(output.sha256 == digest for output in label_maps)


def _count(cases: Sequence[str]) -> str:
    return f"{len(cases)} predictions are" if len(cases) > 1 else "1 prediction is"


def folder_name(paths: Sequence[str]) -> str | None:
    """Return the name of the folder that all these files lie in; None where they lie in several."""
    names = {Path(path).parent for path in paths}
    return names.pop().name if len(names) == 1 else None
