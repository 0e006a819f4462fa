"""The bytes of a file, unpacked by isal into memory that was promised, checked and set aside beforehand.

A header can promise anything. So the promise is held against the file's size before memory is taken, what
comes is counted while it comes, and a gzip stream is read to its end, where its checksum stands (RFC 1952 §2.3).
"""

from __future__ import annotations

import gzip
import mmap
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
from isal import igzip
from isal.igzip_lib import IsalError

from medseg.errors import InputError
from medseg.read.volume import check_fits

GZIP_MAGIC = b"\x1f\x8b"
MAX_RATIO = 1032  # what deflate can shrink at most: 258 bytes to 2 bits
SLACK_BYTES = 64 * 1024  # how much may follow the last voxel; some writers pad to blocks
CHUNK_BYTES = 256 * 1024  # small enough to be copied within the cache, measured fastest


@contextmanager
def open_bytes(path: Path, *, gzipped: bool) -> Iterator[BinaryIO]:
    """Open a file and name what goes wrong while it is open; no library's text reaches the message.

    Raises
    ------
    InputError
        `FILE_MISSING`; `FILE_TRUNCATED` where the gzip stream stops; `FILE_UNREADABLE` where it is damaged, its
        checksum is wrong, or the system refuses; `FILE_TOO_LARGE` where memory runs out.
    """
    try:
        with path.open("rb") as file:
            starts_gzip = file.read(2) == GZIP_MAGIC
            file.seek(0)
            if gzipped and not starts_gzip and os.fstat(file.fileno()).st_size:
                raise InputError(
                    "FILE_UNREADABLE", f"{path} is not compressed by gzip; name it .nii if it is NIfTI"
                )
            if starts_gzip and not gzipped:
                raise InputError("FILE_UNREADABLE", f"{path} is compressed by gzip; name it {path.name}.gz")
            if gzipped:
                with igzip.open(file) as stream:
                    yield cast(BinaryIO, stream)
            else:
                yield file
    except FileNotFoundError:
        raise InputError("FILE_MISSING", f"{path} does not exist; check the path") from None
    except EOFError:
        raise InputError(
            "FILE_TRUNCATED", f"{path} stops before its compressed data ends; copy or export it again"
        ) from None
    except MemoryError:
        raise InputError(
            "FILE_TOO_LARGE", f"{path} needs more memory than there is; crop or resample it"
        ) from None
    except (IsalError, zlib.error, gzip.BadGzipFile):  # type: ignore[misc]  # isal declares a class as a value
        raise InputError(
            "FILE_UNREADABLE", f"{path}: its compressed data is damaged or its checksum is wrong; export it again"
        ) from None
    except OSError as error:
        raise InputError("FILE_UNREADABLE", f"{path} cannot be read ({type(error).__name__})") from None


def fill(stream: BinaryIO, array: np.ndarray, path: Path) -> None:
    """Fill a contiguous array with the stream's next bytes, or raise `FILE_TRUNCATED`."""
    target = array.reshape(-1, order="A").view(np.uint8).data
    done = 0
    while done < len(target):
        got = stream.readinto(target[done : done + CHUNK_BYTES])  # type: ignore[attr-defined]
        if not got:
            raise truncated(path, len(target), done)
        done += got


def skip(stream: BinaryIO, n_bytes: int, path: Path) -> None:
    """Read past bytes that nobody needs, or raise `FILE_TRUNCATED`."""
    left = n_bytes
    while left > 0:
        got = len(stream.read(min(left, CHUNK_BYTES)))
        if not got:
            raise truncated(path, n_bytes, n_bytes - left)
        left -= got


def finish(stream: BinaryIO, path: Path) -> None:
    """Read to the end, so that the checksum is compared; more than `SLACK_BYTES` is `FILE_TOO_LARGE`."""
    if len(stream.read(SLACK_BYTES + 1)) > SLACK_BYTES:
        raise InputError(
            "FILE_TOO_LARGE",
            f"{path} goes on for more than {SLACK_BYTES} bytes after the last voxel its header promises; the "
            "header is wrong, or the file is damaged or hostile: export it again",
        )


def check_promise(path: Path, promised: int, can_hold: int, memory_bytes: int) -> None:
    """Refuse a header's promise before any memory is taken.

    Parameters
    ----------
    promised, can_hold
        Bytes up to the last voxel, and the most that the file can unpack to.
    memory_bytes
        What reading takes.

    Raises
    ------
    InputError
        `FILE_TRUNCATED` where the file is too short, `FILE_TOO_LARGE` where the machine is too small.
    """
    if promised > can_hold:
        raise truncated(path, promised, can_hold)
    check_fits(memory_bytes, path)


def gzip_can_hold(path: Path, promised: int) -> int:
    """Return an upper bound of what a gzip file unpacks to, in bytes, without unpacking it.

    It is the smaller of `MAX_RATIO` times its size and, where a single member's trailer says less than is
    promised, what that says. The trailer (RFC 1952 §2.3.1, ISIZE) counts the last member alone, modulo 2³²,
    and zeros may follow it: only where none of this can explain a number that is too small is it believed.
    """
    on_disk = path.stat().st_size
    if promised > on_disk * MAX_RATIO or promised >= 2**32:
        return on_disk * MAX_RATIO
    with path.open("rb") as file:
        file.seek(max(0, on_disk - 1024))
        tail = file.read()
        last = len(tail.rstrip(b"\0"))
        ends = range(max(last, 4), min(last + 4, len(tail)) + 1)
        sizes = [int.from_bytes(tail[end - 4 : end], "little") for end in ends]
        fits = any(promised <= size <= promised + SLACK_BYTES for size in sizes)
        if not fits and min(sizes, default=promised) < promised:
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as whole:
                if whole.find(GZIP_MAGIC + b"\x08", 10) < 0:  # no second member
                    return min(sizes)
    return on_disk * MAX_RATIO


def truncated(path: Path, promised: int, found: int) -> InputError:
    return InputError(
        "FILE_TRUNCATED",
        f"{path}: its header promises {promised} bytes and the file can hold {found}; copy or export it again",
    )
