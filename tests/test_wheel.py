"""The wheel holds the bundles, works from any folder, and nothing is written into it."""

import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from project import BUNDLES, ROOT, SAMPLES

NAME = "hippocampus_mr_unet3d"
BUILD = "import setuptools.build_meta as build; build.build_wheel('dist')"
TINY = ("max_epochs=1", "_meta_::medseg::network::features=[4, 8]", "device=cpu", "batch_size=8")


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """The folder of an unpacked wheel, built from a copy of what the repository tracks."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in ("medseg", "bundles"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder / name)
    (folder / f"bundles/{NAME}/runs").mkdir()
    (folder / f"bundles/{NAME}/runs/left.txt").write_text("of a run")
    subprocess.run([sys.executable, "-c", BUILD], cwd=folder, check=True, capture_output=True)
    (wheel,) = (folder / "dist").glob("medseg-*.whl")
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(folder / "installed")
    return folder / "installed"


def run(installed: Path, cwd: Path, *words: object) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(installed), "PYTHONDONTWRITEBYTECODE": "1"}
    line = [sys.executable, "-m", "medseg", *map(str, words)]
    return subprocess.run(line, cwd=cwd, env=environment, capture_output=True, text=True, check=False)


def contents(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_the_wheel_holds_what_the_bundles_need_and_nothing_else(installed):
    assert contents(installed / "medseg/bundles") == contents(BUNDLES)
    assert {path.name for path in installed.iterdir() if path.suffix != ".dist-info"} == {"medseg"}


def test_a_bundle_is_run_by_its_name_and_the_installation_stays_as_it_is(installed, tmp_path):
    before = contents(installed)
    version = run(installed, tmp_path, "--version")
    assert version.stdout.startswith("medseg ")
    done = run(installed, tmp_path, "predict", NAME, SAMPLES / "mr_held_back/images/mr_16.nii.gz", "out")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out/mr_16.nii.gz").is_file()
    done = run(installed, tmp_path, "train", NAME, "--data", SAMPLES / "mr", *TINY)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / f"runs/{NAME}/models/best.pt").is_file()
    assert contents(installed) == before
    where = "import medseg.bundle as b; print(b.bundle_folder('hippocampus_mr_unet3d'))"
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    found = subprocess.run(
        [sys.executable, "-c", where], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert Path(found.stdout.strip()) == (installed / "medseg/bundles" / NAME).resolve()
