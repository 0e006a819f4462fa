"""A plan to a bundle's folder: there whole or not at all."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from medseg.bundle import open_config, shipped_bundles
from medseg.cases import Described
from medseg.errors import InputError
from medseg.files import refusals, write_json, write_text
from medseg.planning.choices import Choices
from medseg.planning.fingerprint import Fingerprint
from medseg.planning.readme import readme

SAME_IN_ALL = ("train.json", "inference.json", "evaluate.json", "logging.conf")
RECORD = "configs/plan.json"  # among the configs, which a trained bundle takes over
LICENCE = """The configs in this folder come from medseg and are given under the Apache License 2.0.

The licence of the weights, and of anything else made from your data, is yours to fill in here. It may depend on
the licence of the data.{data}
"""


def check_output(folder: Path) -> None:
    """Refuse a folder that holds anything.

    Raises
    ------
    InputError
        `OUTPUT_WOULD_OVERWRITE`.
    """
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
        raise InputError(
            "OUTPUT_WOULD_OVERWRITE",
            f"{folder} is there and not empty; give a new folder for the bundle, or remove it",
        )


def write_bundle(
    folder: Path, metadata: Mapping[str, Any], data: Fingerprint, chosen: Choices, described: Described
) -> None:
    """Write the bundle beside its place, and rename it there when it is whole.

    Raises
    ------
    InputError
        `OUTPUT_WOULD_OVERWRITE`, `OUTPUT_UNWRITABLE`, `OUTPUT_NO_SPACE`; `CONFIG_BAD_VALUE`: a value that was
        given is none that training takes.
    """
    configs = next(iter(shipped_bundles().values())) / "configs"
    with refusals(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as work:
            part = Path(work) / folder.name
            for name in SAME_IN_ALL:
                (part / "configs").mkdir(parents=True, exist_ok=True)
                shutil.copyfile(configs / name, part / "configs" / name)
            write_json(part / "configs/metadata.json", metadata)
            open_config(part, "training", {})  # which refuses what a user gave and no run could take
            write_json(part / RECORD, {"fingerprint": data.as_json(), "choices": chosen.as_json()})
            write_text(part / "docs/README.md", readme(metadata, data, chosen))
            source = f"\n\nThe data set says of its licence: {described.licence}." if described.licence else ""
            write_text(part / "LICENSE", LICENCE.format(data=source))
            check_output(folder)  # again: somebody may have been faster
            if folder.is_dir():
                folder.rmdir()
            part.rename(folder)
