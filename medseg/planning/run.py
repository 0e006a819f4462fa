"""From a data set's folder to a new bundle."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from medseg.cases import Described, describe, patients_of
from medseg.infer import choose_device
from medseg.networks import build
from medseg.planning.bundle import check_output, write_bundle
from medseg.planning.checks import read_data_set
from medseg.planning.choices import Choices
from medseg.planning.fingerprint import fingerprint_of
from medseg.planning.metadata import metadata_of
from medseg.planning.network_rules import GPU_MIB, Means, choose_network
from medseg.planning.rules import choose_grid, choose_intensity
from medseg.system_memory import MIB, free_bytes

log = logging.getLogger(__name__)
MEMORY_SHARE = 0.5  # of the free memory, for training beside the cases that are kept in it


def plan_bundle(dataset: str | Path, output: str | Path, given: Mapping[str, Any]) -> dict[str, Any]:
    """Plan a bundle for a data set and write it; see `medseg.plan`.

    Returns
    -------
    dict
        ``fingerprint``, and ``choices``: value and reason by key.
    """
    chosen = Choices(given)
    output = Path(output).expanduser().absolute()
    check_output(output)
    device = _device(chosen.take("device", "auto", "what is there"))
    described = _described(dataset, chosen)
    found = read_data_set(dataset, described, allow_empty=bool(given.get("allow_empty")))
    data = fingerprint_of(
        found.facts,
        found.labels,
        described.channels,
        str(given.get("modality") or ""),
        described.regions,
        len(set(patients_of(found.cases).values())),
    )
    chosen.take("name", _plain_name(output.name), "the folder's")
    memory_mib = GPU_MIB if device == "cuda" else float(free_bytes() * MEMORY_SHARE // MIB)
    preprocessing = {**choose_grid(data, chosen), "intensity": choose_intensity(data, chosen)}
    planned = choose_network(data, preprocessing, Means(device, memory_mib), chosen)
    with torch.device("meta"):  # without memory: numbers that contradict each other are refused
        build(patch_size=planned.patch_size, **planned.network)
    write_bundle(output, metadata_of(described, data, preprocessing, planned, chosen), data, chosen, described)
    return {"fingerprint": data.as_json(), "choices": chosen.as_json()}


def _described(dataset: str | Path, chosen: Choices) -> Described:
    """Return what the data set says of itself, with what was given of its labels in place of that."""
    described, given = describe(dataset), chosen.given
    ignored = described.ignore_label if given.get("ignore_label") is None else given["ignore_label"]
    regions = given.get("regions") or described.regions
    named = {int(i): str(name) for i, name in (given.get("labels") or {}).items()}
    labels = {**described.labels, **named}
    if regions:
        labels = {i: labels.get(i, f"label {i}") for ids in regions.values() for i in ids}
    labels = {i: name for i, name in labels.items() if i not in (0, ignored)}
    return replace(described, labels=labels, regions=regions, ignore_label=ignored)


def _device(name: str) -> str:
    """Return the kind of device to plan for; a GPU need not be here."""
    return "cuda" if re.fullmatch(r"cuda(:\d+)?", name) else choose_device(name).type


def _plain_name(name: str) -> str:
    return re.sub(r"[^\w-]+", "_", name).strip("_") or "planned"
