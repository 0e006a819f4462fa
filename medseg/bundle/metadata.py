"""A bundle's ``configs/metadata.json``: what the model is, and its numbers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medseg.bundle.find import bundle_folder
from medseg.cases import painted_ids
from medseg.errors import InputError

META = "_meta_"  # MONAI's name for the metadata in a config


@dataclass(frozen=True)
class Metadata:
    """What medseg reads of a bundle's metadata; ``docs/reference/metadata.md`` has every key.

    Attributes
    ----------
    values
        The file's content.
    """

    values: Mapping[str, Any]

    @property
    def name(self) -> str:
        return self.values["name"]

    @property
    def version(self) -> str:
        return self.values["version"]

    @property
    def task(self) -> str:
        """What is segmented, in words; empty where the file does not say."""
        return self.values.get("task", "")

    @property
    def label_names(self) -> dict[int, str]:
        """The names of the labels by id, background left out; of regions by the id that each is painted with."""
        if self.regions:
            return {i: name for name, i in painted_ids(self.regions).items()}
        channels = self.values["network_data_format"]["outputs"]["pred"]["channel_def"]
        return {int(i): name for i, name in channels.items() if int(i) != 0}

    @property
    def reference_ids(self) -> list[int]:
        """The ids that reference label maps may hold: of labels or of any region, and the one that is ignored."""
        known = {i for ids in self.regions.values() for i in ids} or set(self.label_names)
        return sorted({0, *known, *([] if self.ignore_label is None else [self.ignore_label])})

    @property
    def channel_names(self) -> list[str]:
        """The names of the network's channels, in their order."""
        channels = self.values["network_data_format"]["outputs"]["pred"]["channel_def"]
        return [name for _, name in sorted(channels.items(), key=lambda item: int(item[0]))]

    @property
    def regions(self) -> dict[str, Sequence[int]]:
        """The ids of each overlapping region by name; empty where each voxel has one label."""
        return dict(self.values.get("medseg", {}).get("regions") or {})

    @property
    def ignore_label(self) -> int | None:
        """The id of voxels of references that nothing counts."""
        return self.values.get("medseg", {}).get("ignore_label")

    @property
    def spatial_dims(self) -> int:
        """3, or 2 for a network that goes slice by slice."""
        return self.values["medseg"]["network"]["spatial_dims"]

    @property
    def network_channels(self) -> int:
        """How many channels an image has."""
        return self.values.get("medseg", {}).get("network", {}).get("channels", 1)

    @property
    def network_labels(self) -> int | None:
        """How many channels the network gives, background included; None where the file does not say."""
        return self.values.get("medseg", {}).get("network", {}).get("labels")

    @property
    def segment_entries(self) -> Mapping[str, Any]:
        """Codes and colours by label name, as they stand in the file; see `medseg.bundle.segments_of`."""
        return self.values.get("medseg", {}).get("segments", {})


def regions_of(metadata: Mapping[str, Any]) -> dict[str, Sequence[int]] | None:
    """Return a bundle's overlapping regions, from the content of its metadata; None where there are none."""
    return Metadata(metadata).regions or None


def ignore_label_of(metadata: Mapping[str, Any]) -> int | None:
    """Return the id that a bundle's references have where nobody labelled, from the content of its metadata."""
    return Metadata(metadata).ignore_label


def read_metadata(bundle: str | Path) -> Metadata:
    """Return the metadata of a bundle, see `bundle_folder`.

    Raises
    ------
    InputError
        `BUNDLE_MISSING`: no readable ``configs/metadata.json``.
    """
    path = bundle_folder(bundle) / "configs" / "metadata.json"
    try:
        return Metadata(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise InputError("BUNDLE_MISSING", f"{bundle} is no bundle: {path} cannot be read ({error})") from error
