"""A headless Chromium for the tests: what a page becomes, looks like and says, with no network to ask."""

from __future__ import annotations

import io
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--headless",
    "--no-sandbox",  # tests run as root in containers
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    "--force-device-scale-factor=1",
    "--hide-scrollbars",
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--proxy-server=127.0.0.1:9",  # whoever asks the network gets an error, which the console tells
    "--enable-logging=stderr",
    "--v=0",
)
LIMIT_S = 300  # on a busy machine


@dataclass(frozen=True)
class Page:
    """What a browser made of a page."""

    dom: str
    console: tuple[str, ...]
    screen: np.ndarray | None
    pdf: bytes


def find() -> str:
    """Return the browser's path; skip the test where there is none."""
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip("no Chromium: apt install chromium, as .ci/run does")
    return found


def look(
    file: Path, *, at: str = "", dark: bool = False, size: tuple[int, int] = (1280, 900), wait_ms: int = 4000
) -> Page:
    """Open a page from disk and return its DOM, the console's messages and a screenshot (rows, columns, 3).

    `at` is the part of the address from ``#`` on.
    """
    with tempfile.TemporaryDirectory() as folder:
        shot = Path(folder) / "shot.png"
        done = _run(
            folder,
            f"--window-size={size[0]},{size[1]}",
            f"--blink-settings=preferredColorScheme={0 if dark else 1}",
            f"--virtual-time-budget={wait_ms}",
            f"--screenshot={shot}",
            "--dump-dom",
            file.resolve().as_uri() + at,
        )
        screen = np.asarray(Image.open(io.BytesIO(shot.read_bytes())).convert("RGB")) if shot.is_file() else None
    return Page(done.stdout, _console(done.stderr), screen, b"")


def print_pdf(file: Path, *, wait_ms: int = 4000) -> bytes:
    """Return the page as printed."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "page.pdf"
        _run(
            folder,
            f"--virtual-time-budget={wait_ms}",
            "--no-pdf-header-footer",
            f"--print-to-pdf={path}",
            file.resolve().as_uri(),
        )
        return path.read_bytes()


def _run(folder: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [find(), *FLAGS, f"--user-data-dir={folder}/profile", *arguments],
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    if done.returncode:
        raise AssertionError(f"the browser ended with {done.returncode}:\n{done.stderr[-2000:]}")
    return done


def _console(log: str) -> tuple[str, ...]:
    """Return what the page wrote to the console, errors of its own included."""
    return tuple(re.findall(r"CONSOLE[^\]]*\] (.*)", log))
