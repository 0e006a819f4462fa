"""Where the files of all folds may go."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from medseg.cases import Case, check_apart
from medseg.errors import InputError, some

WRITTEN = ("configs", "models", "docs/README.md", "LICENSE", "out_of_fold", "run.json")


def check_output(cases: Sequence[Case], output: Path, record: str) -> None:
    """Refuse a folder of images or labels, and one that holds other things and no record of folds.

    Raises
    ------
    InputError
        `OUTPUT_WOULD_OVERWRITE`.
    """
    check_apart(cases, output)
    taken = [name for name in WRITTEN if os.path.lexists(output / name)]
    if taken and not (output / record).is_file():
        raise InputError(
            "OUTPUT_WOULD_OVERWRITE",
            f"output_dir {output} holds {some(taken)} and no folds of medseg's; move it away, or give "
            "another folder",
        )
