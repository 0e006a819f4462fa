"""Where files may be written: never over or among the images and labels that are read."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from medseg.cases.listed import Case
from medseg.errors import InputError, some

READ = ("image", "label", "prediction", "second")  # what a case names to be read


def check_apart(cases: Sequence[Case], output_dir: str | Path) -> None:
    """Refuse to write to a folder that holds an image or a label, or lies in one that is (a DICOM series).

    Raises
    ------
    InputError
        `OUTPUT_WOULD_OVERWRITE`.
    """
    real = Path(os.path.realpath(Path(output_dir).expanduser()))
    above = {real, *real.parents}
    named = [case[key] for case in cases for key in READ if case.get(key)]
    read = [Path(path) for paths in named for path in (paths if isinstance(paths, list) else [paths])]
    among = sorted({path.name for path in read if real in _holding(path) or Path(os.path.realpath(path)) in above})
    if among:
        raise InputError(
            "OUTPUT_WOULD_OVERWRITE",
            f"output {output_dir} holds {some(among)}, read as image or label: results would lie among them or "
            "replace them; give a folder of its own",
        )


def _holding(path: Path) -> set[Path]:
    """Return the folders that a file or folder lies in, that of a link and that of what it leads to."""
    return {Path(os.path.realpath(path.parent)), Path(os.path.realpath(path)).parent}
