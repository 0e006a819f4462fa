"""Where the project's folders lie, its commands run as a user runs them, and the code of a refusal."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from medseg import InputError

TESTS = Path(__file__).resolve().parent
ROOT = TESTS.parent
SAMPLES = ROOT / "sample_data"
BUNDLES = ROOT / "bundles"


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


def python_path() -> dict[str, str]:
    """Return this process's environment with the tests' helper modules on the path of a Python started in it."""
    path = [str(ROOT), str(TESTS), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, path))}


def code_of(function: Callable, *arguments: object, **keywords: object) -> str:
    """Return the code with which a call is refused."""
    with pytest.raises(InputError) as caught:
        function(*arguments, **keywords)
    return caught.value.code
