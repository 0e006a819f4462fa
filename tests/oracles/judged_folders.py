"""Two small cases whose numbers are known, folders of them evaluated, and what is refused."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from project import BUNDLES

from medseg import InputError, evaluate

BUNDLE = BUNDLES / "hippocampus_mr_unet3d"
AFFINE = np.diag([1, 1, 2, 1.0])
REFERENCE = np.zeros((8, 9, 4), np.uint8)
REFERENCE[1:5, 1:3, 1:3] = 1
REFERENCE[5:7, 5:7, 1:3] = 2
POOR = REFERENCE.copy()
POOR[1:3] = 0
POOR[POOR == 2] = 0


def judged(
    folders: Path, *, predictions: str = "predictions", references: str = "data", output: str = "out", **how: Any
) -> dict[str, Any]:
    """Evaluate predictions against references below a folder."""
    return evaluate(folders / predictions, folders / references, folders / output, **how)


def rows_of(folder: Path) -> list[dict[str, str]]:
    """Return the rows of ``cases.csv``."""
    with (folder / "cases.csv").open() as stream:
        return list(csv.DictReader(stream))


def refusal(*arguments: Path, **how: Any) -> str:
    """Return why an evaluation is refused; nothing of it is written."""
    with pytest.raises(InputError) as caught:
        judged(*arguments, **how)
    assert not (arguments[0] / how.get("output", "out")).exists()
    return str(caught.value)
