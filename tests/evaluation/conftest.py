"""Folders of two cases, evaluated by the tests of the room."""

from pathlib import Path

import numpy as np
import pytest
from oracles.judged_folders import AFFINE, POOR, REFERENCE


@pytest.fixture
def folders(save, tmp_path) -> Path:
    """Two cases: one predicted perfectly, one with label 2 missed and label 1 half found."""
    for name, prediction in (("good", REFERENCE), ("poor", POOR)):
        save(f"data/images/{name}.nii.gz", REFERENCE.astype(np.float32) * 50, AFFINE)
        save(f"data/labels/{name}.nii.gz", REFERENCE, AFFINE)
        save(f"predictions/{name}.nii.gz", prediction, AFFINE)
    return tmp_path
