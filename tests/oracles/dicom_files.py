"""DICOM files changed where they lie, and the code with which what comes of it is refused."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.uid import generate_uid

from medseg import InputError, read_study, read_volume
from medseg.read.study import scan


def edit_all(folder: Path, change: Callable[[int, pydicom.Dataset], object]) -> None:
    """Apply `change(n, dataset)` to every file and write it back."""
    for n, file in enumerate(sorted(folder.iterdir())):
        ds = pydicom.dcmread(file)
        change(n, ds)
        ds.save_as(file)


def edit(file: Path, **fields: Any) -> None:
    """Set fields of one file."""
    ds = pydicom.dcmread(file)
    for name, value in fields.items():
        setattr(ds, name, value)
    ds.save_as(file)


def files(series: Path) -> list[Path]:
    """Return the files of a series by name."""
    return sorted(series.iterdir())


def copy_of(file: Path, name: str, **fields: Any) -> Path:
    """Write a copy with an instance UID of its own and these fields changed."""
    target = file.parent / name
    shutil.copy(file, target)
    edit(target, **{"SOPInstanceUID": generate_uid(), **fields})
    return target


def code_of(path: Path) -> str:
    """Return the code with which every way in refuses a series."""
    with pytest.raises(InputError) as caught:
        read_study(path)
    assert str(path) in str(caught.value)
    with pytest.raises(InputError) as by_volume:
        read_volume(path)
    assert by_volume.value.code == caught.value.code
    assert {finding.verdict for finding in scan(path)} <= {"refused", "skipped"}
    return caught.value.code


def next_key(fields: dict[str, Any]) -> str:
    """Name a parameter by its first key."""
    return next(iter(fields))
