"""Public data sets from where their makers keep them: there whole and with the right checksum, or not at all."""

from __future__ import annotations

import logging
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from tarfile import TarError

from medseg.errors import InputError

TIMEOUT_S = 60.0  # of silence from the server
PROOF = "dataset.json"  # stands in every data set of the Medical Segmentation Decathlon


def fetch(collection: str, name: str, destination: str | Path) -> Path:
    """Download a data set and unpack it to ``destination/name``; where it is already, do nothing.

    URLs, checksums, download and unpacking are MONAI's (`monai.apps.DecathlonDataset`); its unpacking refuses
    links and names that lead out of the folder. Everything happens in a hidden folder beside the result, which is
    renamed at the end and removed on any failure. It needs room for the archive and its contents at once.

    Parameters
    ----------
    collection
        ``msd``, the Medical Segmentation Decathlon.
    name
        A task such as ``Task09_Spleen``.
    destination
        The folder to put it in; made where it is missing.

    Returns
    -------
    Path
        The data set's folder.

    Raises
    ------
    InputError
        `CONFIG_BAD_VALUE` for an unknown collection or name; `DOWNLOAD_FAILED` for everything that goes wrong
        on the way: no network, a broken connection, a wrong checksum, a full disk.
    """
    if collection != "msd":
        raise InputError("CONFIG_BAD_VALUE", f"collection {collection!r} is unknown; available: msd")
    from monai.apps import DecathlonDataset, download_url, extractall

    if name not in DecathlonDataset.resource:
        known = ", ".join(DecathlonDataset.resource)
        raise InputError("CONFIG_BAD_VALUE", f"{collection} has no {name!r}; it has {known}")
    destination = Path(destination).expanduser().absolute()
    done = destination / name
    if (done / PROOF).is_file():
        return done
    if done.exists():
        raise InputError("DOWNLOAD_FAILED", f"{done} is there and has no {PROOF}; move it away, then try again")
    url = DecathlonDataset.resource[name]
    try:
        with _work_folder(destination, name) as work, _bounded(work):
            archive, unpacked = work / f"{name}.tar", work / "unpacked"
            download_url(url, archive, DecathlonDataset.md5[name], "md5", progress=sys.stderr.isatty())
            extractall(archive, unpacked, file_type="tar")
            if not (unpacked / name / PROOF).is_file():
                raise OSError(f"the archive holds no {name}/{PROOF}")
            destination.mkdir(parents=True, exist_ok=True)
            (unpacked / name).rename(done)
    except (OSError, HTTPException, TarError, EOFError, RuntimeError, ValueError) as error:
        what = " ".join(f"{type(error).__name__}: {error}".split())
        raise InputError("DOWNLOAD_FAILED", f"{url} to {done}: {what}; nothing was kept, try again") from error
    return done


@contextmanager
def _work_folder(destination: Path, name: str) -> Iterator[Path]:
    """Give a folder on the destination's file system, for a rename at the end; remove it whatever happens."""
    there = next(folder for folder in (destination, *destination.parents) if folder.is_dir())
    with tempfile.TemporaryDirectory(prefix=f".{name}.", dir=there, ignore_cleanup_errors=True) as work:
        yield Path(work)


@contextmanager
def _bounded(work: Path) -> Iterator[None]:
    """Keep MONAI from waiting for ever, filling ``/tmp`` with the archive, and printing errors of its own."""
    log = logging.getLogger("monai.apps")
    before = socket.getdefaulttimeout(), tempfile.tempdir, log.level
    socket.setdefaulttimeout(TIMEOUT_S)
    tempfile.tempdir = str(work)
    log.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before[0])
        tempfile.tempdir = before[1]
        log.setLevel(before[2])
