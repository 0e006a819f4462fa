"""Where a run's files may go: a folder of its own."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from medseg.cases import Case, check_apart
from medseg.errors import InputError, some

WRITTEN = (
    *("run.json", "models/last.pt", "models/best.pt", "models/model.pt"),
    *("configs", "docs/README.md", "LICENSE", "training.log"),
)


def check_output(cases: Sequence[Case], output_dir: str | Path) -> None:
    """Refuse, before anything is read, a folder of images or labels, or one whose files are no run's.

    Raises
    ------
    InputError
        `OUTPUT_WOULD_OVERWRITE`.
    """
    folder = Path(output_dir).expanduser()
    for place in (folder, folder / "models", folder / "tensorboard"):
        check_apart(cases, place)
    taken = [name for name in WRITTEN if os.path.lexists(folder / name)]
    if taken and not _is_a_run(folder):
        raise InputError(
            "OUTPUT_WOULD_OVERWRITE",
            f"output_dir {output_dir} holds {some(taken)} and no run of medseg's; move it away, or give another "
            "folder",
        )


def _is_a_run(folder: Path) -> bool:
    with suppress(OSError, ValueError):
        record = json.loads((folder / "run.json").read_text(encoding="utf-8"))
        return isinstance(record, dict) and "settings" in record
    return False
