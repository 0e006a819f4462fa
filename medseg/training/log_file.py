"""``training.log``: what medseg says of a run, a line each with its time."""

from __future__ import annotations

import logging
from pathlib import Path

from medseg.files import refusals

NAME = "training.log"
LOGGER = logging.getLogger("medseg")


class LogFile(logging.FileHandler):
    """The handler of a run's log; there is one at a time."""


def open_log(output_dir: str | Path) -> None:
    """Append what medseg logs from now on to the run's log, until `close_log` or another run.

    Raises
    ------
    InputError
        `OUTPUT_UNWRITABLE`, `OUTPUT_NO_SPACE`.
    """
    close_log()
    path = Path(output_dir) / NAME
    with refusals(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handler = LogFile(path, encoding="utf-8", errors="backslashreplace")
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%Y-%m-%d %H:%M:%S"))
    LOGGER.setLevel(min(LOGGER.getEffectiveLevel(), logging.INFO))
    LOGGER.addHandler(handler)


def close_log() -> None:
    """Close the log that is open, if any."""
    for handler in [each for each in LOGGER.handlers if isinstance(each, LogFile)]:
        LOGGER.removeHandler(handler)
        handler.close()
