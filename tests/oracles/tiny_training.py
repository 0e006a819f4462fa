"""A data set and a network so small that training them takes a second."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from make import write_nifti

# Of `hippocampus_mr_unet3d`: two labels, 1 mm
TINY: dict[str, Any] = {
    "max_minutes": 0,
    "batch_size": 2,
    "device": "cpu",
    "precision": "float32",
    "_meta_::medseg::patch_size": [16, 16, 16],
    "_meta_::medseg::network::features": [4, 8],
    "_meta_::medseg::network::dropout": 0.2,
    "_meta_::medseg::split": {"seed": 0, "validation": 0.2, "test": 0.0},
}


def tiny_data_set(folder: Path, cases: int = 10) -> Path:
    """Write cases of 16 voxels along each axis, each with a bright box of two labels, and return the folder."""
    for n in range(cases):
        rng = np.random.default_rng(n)
        labels = np.zeros((16, 16, 16), np.uint8)
        low, high = rng.integers(2, 5, 3), rng.integers(10, 14, 3)
        box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
        labels[box] = 1
        labels[box][:, :, 4:] = 2
        image = (100 * labels + rng.normal(0, 20, labels.shape)).astype(np.float32)
        write_nifti(folder / f"images/patient{n:02}_frame01.nii.gz", image, (1.0, 1.0, 1.0))
        write_nifti(folder / f"labels/patient{n:02}_frame01.nii.gz", labels, (1.0, 1.0, 1.0))
    return folder
