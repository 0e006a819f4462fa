"""Data for the tests: the committed samples, volumes made on the spot, and real data where it is there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest

ROOT = Path(__file__).resolve().parent.parent
SAMPLES = ROOT / "sample_data"
BUNDLES = ROOT / "bundles"
sys.path.insert(0, str(SAMPLES))


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


def run(*arguments: object, cwd: Path | None = None, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run this Python with `arguments` as a user would, and return what it printed."""
    done = subprocess.run(
        [sys.executable, *map(str, arguments)], cwd=cwd, capture_output=True, text=True, check=False
    )
    if check and done.returncode != 0:
        raise AssertionError(f"{arguments} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
    return done


def monai_bundle(job: str, config: Path, *overrides: object, cwd: Path | None = None, check: bool = True):
    """Run ``python -m monai.bundle run JOB --config_file CONFIG --KEY VALUE ...``."""
    return run("-m", "monai.bundle", "run", job, "--config_file", config, *overrides, cwd=cwd, check=check)


def medseg(*arguments: object, cwd: Path | None = None, check: bool = True):
    """Run the ``medseg`` command."""
    return run("-m", "medseg.cli", *arguments, cwd=cwd, check=check)


SERIES_SPACING_MM = (2.0, 3.0, 4.0)


@pytest.fixture
def image() -> np.ndarray:
    """What `series` holds (column, row, slice): a different number in every voxel."""
    return np.arange(6 * 7 * 5, dtype=np.uint16).reshape(6, 7, 5)


@pytest.fixture
def series(tmp_path, image) -> Path:
    """The folder of an MR series of 5 slices, `SERIES_SPACING_MM` apart."""
    from make import write_dicom_series

    write_dicom_series(tmp_path / "series", image, SERIES_SPACING_MM, "test")
    return tmp_path / "series"


@pytest.fixture(scope="session")
def weights(tmp_path_factory) -> Path:
    """Random weights of the hippocampus's 3D network."""
    import torch

    from medseg.bundle.metadata import read_metadata
    from medseg.networks.residual_unet import unet

    torch.manual_seed(0)
    numbers = read_metadata(BUNDLES / "hippocampus_mr_unet3d")["medseg"]
    path = tmp_path_factory.mktemp("weights") / "random.pt"
    torch.save(unet(patch_size=numbers["patch_size"], **numbers["network"]).state_dict(), path)
    return path
