"""A bundle's ``configs/metadata.json``: what the model is, and its numbers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medseg.bundle.find import bundle_folder
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
        """The names of the labels by id, background left out."""
        channels = self.values["network_data_format"]["outputs"]["pred"]["channel_def"]
        return {int(i): name for i, name in channels.items() if int(i) != 0}

    @property
    def spatial_dims(self) -> int:
        """3, or 2 for a network that goes slice by slice."""
        return self.values["medseg"]["network"]["spatial_dims"]

    @property
    def network_labels(self) -> int | None:
        """How many channels the network gives, background included; None where the file does not say."""
        return self.values.get("medseg", {}).get("network", {}).get("labels")

    @property
    def segment_entries(self) -> Mapping[str, Any]:
        """Codes and colours by label name, as they stand in the file; see `medseg.bundle.segments_of`."""
        return self.values.get("medseg", {}).get("segments", {})


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
