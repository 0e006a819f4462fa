"""A bundle's ``configs/metadata.json``: what the model is, and its numbers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medseg.errors import InputError

if TYPE_CHECKING:
    pass


META = "_meta_"


def read_metadata(bundle: str | Path) -> dict[str, Any]:
    """Return a bundle's ``configs/metadata.json``."""
    path = Path(bundle) / "configs" / "metadata.json"
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError("BUNDLE_MISSING", f"{bundle} is no bundle: {path} cannot be read ({error})") from error


def label_names(metadata: Mapping[str, Any]) -> dict[int, str]:
    """Return the label ids of a bundle and their names, background left out."""
    channels = metadata["network_data_format"]["outputs"]["pred"]["channel_def"]
    return {int(i): name for i, name in channels.items() if int(i) != 0}
