"""What a data set says of itself in its ``dataset.json``: channels, labels, regions; MSD's and nnU-Net's keys."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from medseg.errors import InputError

FILE = "dataset.json"
IGNORE = "ignore"  # nnU-Net's name of the label that nothing counts
BACKGROUND = "background"


@dataclass(frozen=True)
class Described:
    """What a data set says of itself; empty where it says nothing.

    Attributes
    ----------
    name, description, reference, licence
        In words.
    channels
        The input channels' names, in order.
    labels
        Names by id, background and the ignored label left out.
    regions
        Ids by name, where labels are given as overlapping regions; empty where each voxel has one label.
    ignore_label
        The id that no loss and no metric counts.
    """

    name: str = ""
    description: str = ""
    reference: str = ""
    licence: str = ""
    channels: tuple[str, ...] = ()
    labels: Mapping[int, str] = field(default_factory=dict)
    regions: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    ignore_label: int | None = None


def describe(folder: str | Path) -> Described:
    """Return what ``dataset.json`` in a data set's folder says.

    The Medical Segmentation Decathlon's form has ``modality`` and ``labels`` by id; nnU-Net's ``channel_names``
    and ``labels`` by name, a list of ids for a region (https://github.com/MIC-DKFZ/nnUNet, dataset_format.md).

    Raises
    ------
    InputError
        `FILE_UNREADABLE`: it is no JSON object, or its labels are of neither form.
    """
    path = Path(folder).expanduser() / FILE
    if not path.is_file():
        return Described()
    listed = read_listing(path)
    try:
        labels, regions, ignored = _labels(listed.get("labels", {}))
        names = listed.get("channel_names") or listed.get("modality") or {}
        channels = tuple(str(names[key]) for key in sorted(names, key=int))
    except (ValueError, TypeError, AttributeError) as error:
        raise InputError(
            "FILE_UNREADABLE",
            f"{path}: its labels or channels are in no known form ({type(error).__name__}: {error}); labels are "
            '{"0": "background", "1": NAME, …} or {"background": 0, NAME: 1, REGION: [1, 2], …}, channels '
            '{"0": NAME, …}',
        ) from error
    words = {key: str(listed.get(key) or "") for key in ("name", "description", "reference")}
    licence = str(listed.get("licence") or listed.get("license") or "")
    return Described(
        **words, licence=licence, channels=channels, labels=labels, regions=regions, ignore_label=ignored
    )


def read_listing(path: Path) -> dict[str, Any]:
    """Return a ``dataset.json``, a JSON object.

    Raises
    ------
    InputError
        `FILE_UNREADABLE`.
    """
    try:
        listed = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(listed, dict):
            raise TypeError("not an object")
    except (OSError, ValueError, TypeError) as error:
        raise InputError("FILE_UNREADABLE", f"{path} is no JSON object ({error}); correct it") from error
    return listed


def _labels(listed: Mapping[str, Any]) -> tuple[dict[int, str], dict[str, tuple[int, ...]], int | None]:
    """Return the names of labels, the ids of regions, and the ignored id."""
    if all(isinstance(value, str) for value in listed.values()):  # id: name, as in the Decathlon
        return {int(key): name for key, name in sorted(listed.items(), key=_first) if int(key) != 0}, {}, None
    ids = {name: _ids(value) for name, value in listed.items()}
    ignored = ids.pop(IGNORE, None)
    ids = {name: value for name, value in ids.items() if value not in ((0,), ()) and name != BACKGROUND}
    if not any(isinstance(value, (list, tuple)) for value in listed.values()):
        return {value[0]: name for name, value in ids.items()}, {}, None if ignored is None else ignored[0]
    named = {value[0]: name for name, value in ids.items() if len(value) == 1}
    every = sorted({i for value in ids.values() for i in value})
    return {i: named.get(i, f"label {i}") for i in every}, ids, None if ignored is None else ignored[0]


def _first(item: tuple[str, Any]) -> int:
    return int(item[0])


def _ids(value: int | Sequence[int]) -> tuple[int, ...]:
    return tuple(int(i) for i in value) if isinstance(value, (list, tuple)) else (int(value),)  # type: ignore[arg-type]
