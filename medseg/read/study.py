"""A path to what is there (`scan`), all its volumes (`read_study`), or the one that is meant (`read_volume`)."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from medseg.errors import InputError, some
from medseg.read.channels import joined
from medseg.read.dicom import files_below, files_of_dicomdir, is_dicomdir, scan_dicom
from medseg.read.formats import is_readable, scan_file
from medseg.read.grid import check_count
from medseg.read.selection import Selection
from medseg.read.volume import Finding, Volume

log = logging.getLogger(__name__)
Paths = str | Path | Sequence[str | Path]  # of a volume; several, of one channel each


def scan(path: str | Path, repairs: Sequence[str] = (), channels: int | None = 1) -> list[Finding]:
    """Say what is at `path`, by headers alone.

    Parameters
    ----------
    path
        A file (NIfTI, NRRD, MetaImage, DICOM, ``DICOMDIR``), or a folder of any, searched to its depth.
    repairs, channels
        As ``repair`` and ``channels`` of `read_volume`.

    Returns
    -------
    list of Finding
        One a volume, refusal or skipped object; empty where nothing there is an image at all.

    Raises
    ------
    InputError
        `FILE_MISSING`; `FILE_UNREADABLE` for a file that is no image.
    """
    path = Path(path).expanduser()
    files, outside = _files_at(path)
    others = [scan_file(file, channels) for file in files if is_readable(file)]
    found = [*outside, *others, *scan_dicom((file for file in files if not is_readable(file)), repairs)]
    if not found and not path.is_dir():
        raise InputError("FILE_UNREADABLE", f"{path} is no NIfTI, NRRD, MetaImage or DICOM file")
    return found


def files_of(path: Paths) -> list[Path]:
    """Return the files that reading `path` may open, sorted: itself, those below it, or those a DICOMDIR lists.

    Those of several paths follow each other in the order of the paths.
    """
    if not isinstance(path, (str, Path)):
        return [file for one in path for file in files_of(one)]
    path = Path(path).expanduser()
    files, _ = _files_at(path)
    return sorted({path, *files} if path.is_file() else files)


def _files_at(path: Path) -> tuple[list[Path], list[Finding]]:
    """Return the files at a path, and the refusals of those that a DICOMDIR lists in vain."""
    if not path.exists():
        problem = f"leads to {path.readlink()}, which is not there" if path.is_symlink() else "does not exist"
        raise InputError("FILE_MISSING", f"{path} {problem}; give a NIfTI file or a DICOM folder")
    if path.is_dir():
        return files_below(path), []
    if not path.is_file():
        raise InputError("FILE_UNREADABLE", f"{path} is a pipe, a socket or a device, not a file")
    return files_of_dicomdir(path) if is_dicomdir(path) else ([path], [])


def read_study(path: str | Path) -> list[Volume]:
    """Read every volume at `path`.

    What is refused beside them is logged as a warning, by code and without patient data; `scan` and
    ``medseg inspect`` list it.

    Parameters
    ----------
    path
        As in `scan`.

    Returns
    -------
    list of Volume
        At least one; what was tolerated stands in each one's ``codes``.

    Raises
    ------
    InputError
        Where there is no volume: the first refusal's code, such as `GEOMETRY_MISSING_SLICE`.
    """
    found = scan(path)
    volumes, refused = [], [finding for finding in found if finding.verdict == "refused"]
    for finding in found:
        if finding.load is not None:
            try:
                volumes.append(finding.load())
            except InputError as error:
                refused.append(Finding.refused(finding.source, error))
    if not volumes:
        raise _nothing(path, [*refused, *found])
    for finding in refused:
        log.warning("%s: %s", finding.codes[0], finding.message)
    return volumes


def read_volume(
    path: Paths,
    *,
    series_uid: str = "",
    description: str = "",
    modality: str = "",
    repair: str | Sequence[str] = (),
    channels: int | None = 1,
) -> Volume:
    """Read the one volume at `path`, or of those there the one that is named; never just the first.

    Parameters
    ----------
    path
        As in `scan`; or a list of them, one a channel, which all have to lie on one grid.
    series_uid
        DICOM SeriesInstanceUID.
    description
        Pattern for DICOM SeriesDescription, with ``*`` and ``?``, in either case.
    modality
        Such as ``"CT"``. Files that do not say theirs (NIfTI) pass.
    repair
        ``"tilt"``, ``"uneven"`` or a list of both: DICOM slices of a tilted gantry, or at uneven distances, are
        resampled to a straight grid instead of being refused (``docs/how-to/repair.md``). What was done stands in
        ``codes`` and ``repair`` of the volume; slices that need no repair are read as ever.
    channels
        How many it must have; None for any number. A 4D NIfTI has them along its last axis.

    Raises
    ------
    InputError
        `DICOM_SEVERAL_SERIES`, `DICOM_NO_SUCH_SERIES`, `CONFIG_BAD_VALUE`, `CHANNELS_MISMATCH`,
        `GEOMETRY_CHANNEL_GRID`, or why the one that is meant was refused.
    """
    selection = Selection(series_uid, description, modality, repair)
    if isinstance(path, (str, Path)):
        return _read_one(path, selection, channels)
    paths = list(path)
    if len(paths) == 1:
        return _read_one(paths[0], selection, channels)
    check_count(len(paths), channels, f"the list {some([Path(one).name for one in paths])}")
    return joined([_read_one(one, selection, 1) for one in paths])


def _read_one(path: str | Path, selection: Selection, channels: int | None) -> Volume:
    found = scan(path, selection.repair, channels)
    possible = [finding for finding in found if finding.verdict != "skipped"]
    chosen = [finding for finding in possible if selection.matches(finding)]
    if not possible:
        raise _nothing(path, found)
    if not chosen:
        raise InputError(
            "DICOM_NO_SUCH_SERIES",
            f"{path} has {len(possible)} volume{'s' * (len(possible) > 1)}, none with {selection}; "
            f"{_of_other_modality(possible, selection)}`medseg inspect` lists them",
        )
    unknown = [finding for finding in chosen if finding.verdict == "refused" and not finding.series_uid]
    if len(chosen) > 1 and not unknown:
        raise InputError(
            "DICOM_SEVERAL_SERIES",
            f"{path} holds {len(chosen)} volumes ({_listed(chosen)}); name one by series_uid, description or "
            "modality, or put each in its own folder",
        )
    one = (unknown or chosen)[0]
    if one.load is None:
        raise InputError(one.codes[0], one.message)
    check_count(one.channels, channels, path)
    return one.load()


def _nothing(path: str | Path, found: Sequence[Finding]) -> InputError:
    if found:  # a damaged file of no known series may be why the others are incomplete
        first = min(found, key=lambda finding: (finding.verdict == "skipped", bool(finding.series_uid)))
        return InputError(first.codes[0], first.message)
    return InputError(
        "FILE_UNREADABLE", f"{path} holds no image; give a NIfTI file or the folder of a DICOM series"
    )


def _of_other_modality(found: Sequence[Finding], selection: Selection) -> str:
    """Return the remedy where it is the modality alone that does not match."""
    but_for_it = replace(selection, modality="")
    there = sorted({finding.modality for finding in found if but_for_it.matches(finding)} - {""})
    return (
        f"there is {', '.join(there)}: if that is meant, give --modality {' or '.join(there)}; " if there else ""
    )


def _listed(found: Sequence[Finding]) -> str:
    shown = [
        f"{f.modality or 'image'} {'×'.join(map(str, f.shape)) if f.shape else f.codes[0]}" for f in found[:4]
    ]
    return ", ".join([*shown, "…"] if len(found) > 4 else shown)
