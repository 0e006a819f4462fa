"""Data for the tests: the committed samples, volumes made on the spot, and real data where it is there."""

from __future__ import annotations

import os
from pathlib import Path

import nibabel
import numpy as np
import pytest
from make import write_dicom_series
from oracles.dicom_series import SERIES_SPACING_MM
from project import BUNDLES, ROOT


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real MR and CT, see CONTRIBUTING.md."""
    path = Path(os.environ.get("MEDSEG_TEST_DATA", ROOT.parent / "shared" / "data"))
    if not (path / "Task04_Hippocampus").is_dir():
        pytest.skip(f"no real data at {path}: set MEDSEG_TEST_DATA")
    return path


@pytest.fixture
def save(tmp_path):
    """Write an array as NIfTI below the test's folder and return its path."""

    def write(name: str, array: np.ndarray, affine: np.ndarray | None = None) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        nibabel.save(nibabel.Nifti1Image(array, np.eye(4) if affine is None else affine), path)
        return path

    return write


@pytest.fixture
def image() -> np.ndarray:
    """What `series` holds (column, row, slice): a different number in every voxel."""
    return np.arange(6 * 7 * 5, dtype=np.uint16).reshape(6, 7, 5)


@pytest.fixture
def series(tmp_path, image) -> Path:
    """The folder of an MR series of 5 slices, `SERIES_SPACING_MM` apart."""
    write_dicom_series(tmp_path / "series", image, SERIES_SPACING_MM, "test")
    return tmp_path / "series"


@pytest.fixture(scope="session")
def weights(tmp_path_factory) -> Path:
    """Random weights of the hippocampus's 3D network."""
    import torch

    from medseg.bundle.metadata import read_metadata
    from medseg.networks.residual_unet import unet

    torch.manual_seed(0)
    numbers = read_metadata(BUNDLES / "hippocampus_mr_unet3d").values["medseg"]
    path = tmp_path_factory.mktemp("weights") / "random.pt"
    torch.save(unet(patch_size=numbers["patch_size"], **numbers["network"]).state_dict(), path)
    return path
