"""The file formats that are read, DICOM apart: a new one is a file beside this, and a line in `FORMATS`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from medseg.errors import InputError
from medseg.read.itk_formats import is_itk_format, read_itk, scan_itk
from medseg.read.nifti import is_nifti, read_nifti, scan_nifti
from medseg.read.volume import Finding, Volume


class Format(NamedTuple):
    """How files of one format are told by their name, asked by their header, and read.

    Attributes
    ----------
    is_named
        Says whether a path has the format's name.
    scan
        Returns ``codes``, ``shape`` and ``affine`` by the header alone, or refuses the file by `InputError`.
    read
        Returns the volume, or refuses the file.
    several
        Whether a file may hold several channels; then `scan` and `read` also take how many are wanted.
    """

    is_named: Callable[[str | Path], bool]
    scan: Callable[..., Any]
    read: Callable[..., Volume]
    several: bool = False


FORMATS = (
    Format(is_nifti, scan_nifti, read_nifti, several=True),
    Format(is_itk_format, scan_itk, read_itk),  # NRRD and MetaImage
)


def is_readable(path: str | Path) -> bool:
    """Say whether the name is that of a NIfTI, NRRD or MetaImage file; DICOM files may have any name."""
    return any(each.is_named(path) for each in FORMATS)


def scan_file(path: Path, channels: int | None = 1) -> Finding:
    """Say what is in a file of one of the `FORMATS`, by its header."""
    found = next(each for each in FORMATS if each.is_named(path))
    wanted = {"channels": channels} if found.several else {}
    try:
        facts = found.scan(path, **wanted)
    except InputError as error:
        return Finding.refused((path,), error)
    return Finding(
        (path,),
        "ok",
        facts.codes,
        shape=facts.shape,
        affine=facts.affine,
        load=partial(found.read, path, **wanted),
        channels=facts.channels if found.several else 1,
    )
