"""Find the cases of a data set.

A case is ``{"id": str, "image": str, "label": str}``; ``label`` is absent where there is none, and ``image`` is a
list of paths where each channel has a file of its own.
"""

from __future__ import annotations

import os
from pathlib import Path

from medseg.cases.bids import bids_cases, is_bids
from medseg.cases.ids import case_ids, check_case_ids
from medseg.cases.listed import (
    Case,
    by_channel,
    case_id,
    images_of,
    listed_cases,
    lists_cases,
    lists_images,
    named_channels,
)
from medseg.errors import InputError, some
from medseg.read import is_nifti, is_readable, looks_like_dicom, walk

LAYOUTS = (("images", "labels"), ("imagesTr", "labelsTr"))
MANIFEST = "manifest.jsonl"  # what a folder that `medseg predict` wrote to has
RESULT_SUFFIXES = (".seg.dcm", ".rtstruct.dcm")  # beside label maps; their folder is not a series


def find_cases(
    path: str | Path, *, labelled: bool = False, nested: bool = True, channels: int | None = None
) -> list[Case]:
    """Return the cases at `path`, sorted by id.

    What is called like an image and is none, such as a link that leads nowhere, is a case all the same: reading it
    says what it is.

    Parameters
    ----------
    path
        A NIfTI, NRRD or MetaImage file; a folder of DICOM files; a folder of either, at any depth; a folder with
        ``images/`` and ``labels/`` (or ``imagesTr/``, ``labelsTr/``); a Medical Segmentation Decathlon folder or
        one in nnU-Net's raw form, with ``dataset.json`` (of the latter ``imagesTs/`` alone, too); or a BIDS tree.
    labelled
        Keep the training part alone and refuse a case without its label.
    nested
        Look in subfolders too for files that are not DICOM.
    channels
        Of the model. With more than one, files ``<case>_0000``, ``<case>_0001``, … are one case in any folder.

    Raises
    ------
    InputError
        `FILE_MISSING`, `CASES_BAD_ID`, `CASES_EMPTY`, `CASES_DUPLICATE_ID`, `CASES_MISSING_LABEL`,
        `CASES_SEVERAL_LABELS`, `FILE_UNREADABLE`.
    """
    cases = list_cases(path, labelled=labelled, nested=nested, channels=channels)
    if not cases:
        raise InputError("CASES_EMPTY", f"{path} holds no case: no NIfTI file, DICOM folder or dataset.json")
    check_case_ids(cases)
    if labelled:
        bare = [case["id"] for case in cases if not Path(case.get("label", "")).is_file()]
        if bare:
            raise InputError(
                "CASES_MISSING_LABEL",
                f"{path}: {some(bare)} have no label; add the files or take the images out",
            )
    return cases


def list_cases(
    path: str | Path,
    *,
    labelled: bool = False,
    nested: bool = True,
    channels: int | None = None,
    whole: bool = True,
) -> list[Case]:
    """Return what `find_cases` does, unchecked: ids may be there twice, and there may be no case.

    Parameters
    ----------
    path, labelled, nested, channels
        As for `find_cases`.
    whole
        Refuse a data set that lists images which are not there.

    Raises
    ------
    InputError
        `FILE_MISSING`, `FILE_UNREADABLE`, `CASES_SEVERAL_LABELS`.
    """
    if not str(path):
        raise InputError("FILE_MISSING", "no data set was named; give --dataset_dir PATH")
    path = Path(path).expanduser().resolve()
    if not path.exists():
        raise InputError("FILE_MISSING", f"{path} does not exist; give a file or a folder of cases")
    if path.is_dir() and not _holds_dicom(path) and lists_cases(path) and not _only_describes(path):
        cases = listed_cases(path, labelled)
        gone = [case["id"] for case in cases if not all(Path(image).exists() for image in images_of(case))]
        if gone and whole:
            raise InputError("FILE_MISSING", f"{path}: dataset.json lists {some(gone)}, which are not there")
    else:
        cases = _in_folders(path, labelled, nested)
        channels = channels if channels is not None and channels > 1 else named_channels(path)
        cases = by_channel(cases, channels) if channels else cases
    return sorted(cases, key=lambda case: case["id"])


def _only_describes(path: Path) -> bool:
    """Say whether ``dataset.json`` names labels or channels alone, and the cases are those of the folders."""
    return layout_of(path) is not None and not lists_images(path)


def _in_folders(path: Path, labelled: bool, nested: bool) -> list[Case]:
    if not path.is_dir() or _holds_dicom(path):
        return [{"id": case_id(path), "image": str(path)}]
    layout = layout_of(path)
    if layout is None:
        return bids_cases(path, labelled) if is_bids(path) else _images_in(path, nested)
    images, labels = layout
    cases, found = _images_in(path / images, nested), _labels_in(path / labels)
    for case in cases:
        image = Path(case["image"]).relative_to(path / images)
        label = found.get(image.parent / case_id(image)) or found.get(Path(case["id"]))
        if label is not None:
            case["label"] = str(label)
    return cases


def _labels_in(folder: Path) -> dict[Path, Path]:
    """Return the label maps below a folder by their path in it without ``.nii.gz``."""
    if not folder.is_dir():
        return {}
    files = [Path(parent, name) for parent, _, names in walk(folder) for name in names if is_nifti(name)]
    there = [file.relative_to(folder) for file in files if file.is_file()]
    return {file.parent / case_id(file): folder / file for file in there}


def layout_of(folder: Path) -> tuple[str, str] | None:
    """Return how a folder calls its folders of images and of labels; None where it has no folder of images."""
    return next(((images, labels) for images, labels in LAYOUTS if (folder / images).is_dir()), None)


def _images_in(folder: Path, nested: bool) -> list[Case]:
    places: list[Path] = []
    called: list[Path] = []  # folders that have an image's name
    for parent, folders, names in walk(folder):
        here = Path(parent)
        series = [name for name in folders if _holds_dicom(here / name)]
        folders[:] = [name for name in folders if name not in series and not is_apart(here / name)]
        places += [here / name for name in series]
        if nested or here == folder:
            places += [here / name for name in names if is_readable(name)]
            called += [here / name for name in folders if is_readable(name)]
    full = {above for place in places for above in place.parents}
    places += [path for path in called if path not in full]
    ids = case_ids([(*place.relative_to(folder).parts[:-1], case_id(place)) for place in places])
    return [{"id": name, "image": str(place)} for name, place in zip(ids, places, strict=True)]


def is_apart(folder: Path) -> bool:
    """Say whether a folder in a tree holds results of medseg's, or labels beside images: no images to read."""
    beside = {labels: images for images, labels in LAYOUTS}.get(folder.name)
    return (folder / MANIFEST).is_file() or (beside is not None and (folder.parent / beside).is_dir())


def images_near(folder: Path) -> list[str]:
    """Return the names of images right in a folder or its ``labels/`` and the like, and of DICOM folders there.

    It looks no deeper, so that any folder is checked quickly.
    """
    within = [folder, *(folder / name for layout in LAYOUTS for name in layout if (folder / name).is_dir())]
    entries = [path for near in within for path in near.iterdir() if os.access(path, os.R_OK)]
    images = {path.name for path in entries if path.is_file() and (is_readable(path) or looks_like_dicom(path))}
    return sorted(images | {path.name for path in entries if path.is_dir() and _holds_dicom(path)})


def _holds_dicom(folder: Path) -> bool:
    """Say whether a file right inside `folder` begins as DICOM does, medseg's own results left out."""
    named = (path for path in folder.iterdir() if not path.name.startswith(".") and not is_readable(path))
    files = (path for path in named if path.is_file() and not path.name.endswith(RESULT_SUFFIXES))
    return any(map(looks_like_dicom, files))
