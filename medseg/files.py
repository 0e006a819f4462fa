"""Files that are there whole or not at all: written beside their place, synced, renamed, synced again."""

from __future__ import annotations

import csv
import errno
import hashlib
import io
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import Any
from uuid import uuid4

from medseg.errors import InputError, causes_of

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

PART = ".part-"
NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
NO_FOLDER_SYNC = (errno.EINVAL, errno.ENOTSUP, errno.EBADF, errno.EACCES, errno.EPERM)
STALE_AFTER_S = 24 * 3600.0  # where a file system has no locks that tell whether a part has a living writer
LOCK_WAIT_S = 5.0
# Told of each file that is whole, right before it takes its name: of the part and of the path
before_rename: ContextVar[Callable[[Path, Path], None]] = ContextVar("before_rename", default=lambda *_: None)


@contextmanager
def atomic(path: str | Path) -> Iterator[Path]:
    """Give a temporary path in the same folder; it becomes `path`, synced, when the block ends well.

    The temporary name ends as `path` does, so that writers which look at the suffix see the same one. The file is
    locked for as long as its writer lives, which is how `sweep` knows the parts of the dead.

    Raises
    ------
    InputError
        `OUTPUT_NO_SPACE`, `OUTPUT_UNWRITABLE`: what the operating system refused in the block or after it.
    """
    path = Path(path)
    with refusals(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        part, descriptor = _new_part(path)
    try:
        with refusals(path):
            yield part
            with part.open("rb+") as stream:
                os.fsync(stream.fileno())
            before_rename.get()(part, path)
            part.replace(path)
            _sync_folder(path.parent)
    finally:
        with suppress(OSError):  # what went wrong before is what the caller has to hear of
            part.unlink(missing_ok=True)
        if descriptor is not None:
            os.close(descriptor)


def _new_part(path: Path) -> tuple[Path, int | None]:
    """Make an empty part for `path` and lock it, unless somebody swept it in between."""
    while True:
        part = path.with_name(f"{PART}{uuid4().hex[:8]}-{path.name}")
        descriptor = os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        if fcntl is None:  # Windows replaces no open file
            os.close(descriptor)
            return part, None
        if try_lock(descriptor) is not False and os.fstat(descriptor).st_nlink:
            return part, descriptor
        os.close(descriptor)


def check_writable(folder: str | Path, *appended: str) -> None:
    """Make a folder, and refuse one in which no file can be made or these cannot be appended to.

    Raises
    ------
    InputError
        `OUTPUT_NO_SPACE`, `OUTPUT_UNWRITABLE`.
    """
    folder = Path(folder)
    with refusals(folder):
        folder.mkdir(parents=True, exist_ok=True)
        part, descriptor = _new_part(folder / "trial")
        try:
            part.write_bytes(b"1")
        finally:
            part.unlink()
            if descriptor is not None:
                os.close(descriptor)
    for name in appended:
        with refusals(folder / name), (folder / name).open("ab"):
            pass


def sweep(folder: str | Path) -> None:
    """Remove the parts that killed writers left in `folder`; a part being written, by any process, stays."""
    with suppress(OSError):
        for part in [entry for entry in os.scandir(folder) if entry.name.startswith(PART)]:
            with suppress(OSError):  # another run swept it, or it may not be touched
                descriptor = os.open(part, os.O_RDWR)
                try:
                    free = try_lock(descriptor)
                    old = time.time() - part.stat().st_mtime > STALE_AFTER_S
                    if free or (free is None and old):
                        Path(part).unlink()
                finally:
                    os.close(descriptor)


def try_lock(descriptor: int) -> bool | None:
    """Lock a file until it is closed; False where somebody else has it, None where there are no locks."""
    if fcntl is None:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def _sync_folder(folder: Path) -> None:
    """Put a rename on the disk: the new name is the folder's data, not the file's."""
    if os.name == "nt":  # Windows opens no folders, and syncs their entries itself
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:  # some network file systems sync no folders; the file itself is synced
        if error.errno not in NO_FOLDER_SYNC:
            raise
    finally:
        os.close(descriptor)


@contextmanager
def refusals(path: Path) -> Iterator[None]:
    """Give what the operating system refuses its code; libraries wrap it in errors of their own."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        number = next((each.errno for each in causes_of(error) if isinstance(each, OSError) and each.errno), None)
        if number is None:
            raise
        reason = os.strerror(number)
        if number in NO_SPACE:
            raise InputError("OUTPUT_NO_SPACE", f"{path} cannot be written: {reason}; free disk space") from error
        raise InputError("OUTPUT_UNWRITABLE", f"{path} cannot be written: {reason}") from error


def write_text(path: str | Path, text: str) -> None:
    """Write a text file atomically."""
    with atomic(path) as part:
        part.write_text(text, encoding="utf-8", errors="backslashreplace")  # a file whose name is no UTF-8


def write_json(path: str | Path, value: Any) -> None:
    """Write JSON atomically; NaN and infinities are refused, for JSON has none."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False) + "\n")


def write_csv(path: str | Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows as CSV atomically; all rows have the first one's columns."""
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())


def write_torch(path: str | Path, value: Any) -> None:
    """Write what ``torch.load(weights_only=True)`` reads, atomically."""
    import torch

    with atomic(path) as part:
        torch.save(value, part)


def sha256_of(path: str | Path) -> str:
    """Return a file's SHA-256 as hexadecimal digits."""
    digest = hashlib.sha256()
    with Path(path).open("rb") as stream:
        for block in iter(lambda: stream.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def append_line(path: str | Path, record: Mapping[str, Any]) -> None:
    """Append one JSON object to a ``.jsonl`` file and sync it; a line cut off by a crash is closed first.

    Several processes may append to one file: the line is one write at the file's end (``O_APPEND``), under a lock
    where the file system has locks, which is what makes it safe on network file systems.

    Raises
    ------
    InputError
        `OUTPUT_NO_SPACE`, `OUTPUT_UNWRITABLE`; a part of the line may then be there, and is no record.
    """
    line = _line(record)
    with refusals(Path(path)):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0), 0o666)
        try:
            give_up = time.monotonic() + LOCK_WAIT_S
            while try_lock(descriptor) is False and time.monotonic() < give_up:
                time.sleep(0.002)
            size = os.fstat(descriptor).st_size
            if size and not _ends_with_newline(descriptor, size):
                line = b"\n" + line
            if os.write(descriptor, line) < len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _line(record: Mapping[str, Any]) -> bytes:
    try:
        return (json.dumps(record, allow_nan=False, ensure_ascii=False) + "\n").encode()
    except UnicodeEncodeError:  # a file whose name is no UTF-8
        return (json.dumps(record, allow_nan=False) + "\n").encode()


def _ends_with_newline(descriptor: int, size: int) -> bool:
    os.lseek(descriptor, size - 1, os.SEEK_SET)
    return os.read(descriptor, 1) == b"\n"
