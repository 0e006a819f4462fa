"""What long commands say as they go: one line a case, or what a training run says of itself."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from medseg.errors import InputError

CASES = "medseg.prediction.record"  # the logger that says how each case ended
BEGINS = re.compile(rb"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d ")  # as each line here does


@contextmanager
def case_log(file: Path | None) -> Iterator[None]:
    """Log one line a case to `file`, and to standard error where that is no terminal, which has a bar instead.

    Raises
    ------
    InputError
        `CONFIG_BAD_VALUE`: `file` has an image's name; `OUTPUT_WOULD_OVERWRITE`: it is there and is no log;
        `OUTPUT_UNWRITABLE`.
    """
    handlers: list[logging.Handler] = [] if sys.stderr.isatty() else [logging.StreamHandler()]
    if file is not None:
        handlers.append(_file_handler(file))
    with _heard(CASES, handlers, logging.Formatter("%(asctime)s %(message)s", "%Y-%m-%d %H:%M:%S")):
        yield


@contextmanager
def training_log() -> Iterator[None]:
    """Print what a training run says of itself."""
    with _heard("medseg", [logging.StreamHandler(sys.stdout)], logging.Formatter("%(message)s")):
        yield


@contextmanager
def _heard(name: str, handlers: Sequence[logging.Handler], formatter: logging.Formatter) -> Iterator[None]:
    """Give what a logger says to these handlers alone, and close them at the end."""
    logger = logging.getLogger(name)
    before = logger.level, logger.propagate
    for handler in handlers:
        handler.setFormatter(formatter)
        logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        yield
    finally:
        logger.level, logger.propagate = before
        for handler in handlers:
            logger.removeHandler(handler)
            handler.close()


def _file_handler(file: Path) -> logging.Handler:
    from medseg.read import is_readable

    if is_readable(file):
        raise InputError(
            "CONFIG_BAD_VALUE", f"--log {file} is named as an image, and would be taken for a case; name it .log"
        )
    try:
        if file.exists():
            with file.open("rb") as stream:
                start = stream.read(20)
            if start and not BEGINS.fullmatch(start):
                raise InputError(
                    "OUTPUT_WOULD_OVERWRITE", f"--log {file} is there and is no log of medseg; give another file"
                )
        file.parent.mkdir(parents=True, exist_ok=True)
        return logging.FileHandler(file, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise InputError(
            "OUTPUT_UNWRITABLE", f"--log {file} cannot be written ({error.strerror}); give another file"
        ) from error
