"""Find the cases of a data set.

A case is ``{"id": str, "image": str, "label": str}``; ``label`` is absent where there is none.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path

from medseg.errors import InputError, some
from medseg.read import is_readable, looks_like_dicom, walk

Case = dict[str, str]
LAYOUTS = (("images", "labels"), ("imagesTr", "labelsTr"))
RESULT_SUFFIXES = (".seg.dcm", ".rtstruct.dcm")  # beside label maps; their folder is not a series


def case_id(path: str | Path) -> str:
    """Return the case's name: the file's without ``.nii.gz`` or the like, or the DICOM folder's."""
    path = Path(path)
    name = path.name.removesuffix(".gz").removesuffix(".nii")
    return path.stem if is_readable(path) and name == path.name else name


def find_cases(path: str | Path, *, labelled: bool = False) -> list[Case]:
    """Return the cases at `path`, sorted by id.

    Parameters
    ----------
    path
        A NIfTI, NRRD or MetaImage file; a folder of DICOM files; a folder of either, DICOM at any depth; a
        folder with ``images/`` and ``labels/`` (or ``imagesTr/``, ``labelsTr/``); or a Medical Segmentation
        Decathlon folder with ``dataset.json``.
    labelled
        Keep the training part alone and refuse a case without its label.

    Raises
    ------
    InputError
        `FILE_MISSING`, `CASES_EMPTY`, `CASES_DUPLICATE_ID`, `CASES_MISSING_LABEL`, `FILE_UNREADABLE`.
    """
    if not str(path):
        raise InputError("FILE_MISSING", "no data set was named; give --dataset_dir PATH")
    path = Path(path).expanduser().resolve()
    if not path.exists():
        raise InputError("FILE_MISSING", f"{path} does not exist; give a file or a folder of cases")
    cases = sorted(_listed(path, labelled), key=lambda case: case["id"])
    if not cases:
        raise InputError("CASES_EMPTY", f"{path} holds no case: no NIfTI file, DICOM folder or dataset.json")
    twice = [name for name, count in Counter(case["id"] for case in cases).items() if count > 1]
    if twice:
        raise InputError("CASES_DUPLICATE_ID", f"{path}: several cases are called {twice[0]}; rename them")
    if labelled:
        bare = [case["id"] for case in cases if not Path(case.get("label", "")).is_file()]
        if bare:
            raise InputError(
                "CASES_MISSING_LABEL",
                f"{path}: {some(bare)} have no label; add the files or take the images out",
            )
    return cases


def _listed(path: Path, labelled: bool) -> list[Case]:
    if path.is_file() or _holds_dicom(path):
        return [{"id": case_id(path), "image": str(path)}]
    if lists_cases(path):
        return _decathlon(path, labelled)
    for images, labels in LAYOUTS:
        if (path / images).is_dir():
            cases = _images_in(path / images)
            for case in cases:
                label = next(
                    (p for s in (".nii.gz", ".nii") if (p := path / labels / (case["id"] + s)).is_file()),
                    None,
                )
                if label:
                    case["label"] = str(label)
            return cases
    return _images_in(path)


def lists_cases(folder: Path) -> bool:
    """Say whether a ``dataset.json`` lists a folder's cases; nnU-Net leaves one of its own beside predictions."""
    return (folder / "dataset.json").is_file() and not any(map(is_readable, folder.iterdir()))


def _images_in(folder: Path) -> list[Case]:
    visible = (path for path in folder.iterdir() if not path.name.startswith("."))  # not what a killed run left
    images = [path for path in visible if path.is_file() and is_readable(path)]
    cases = [{"id": case_id(path), "image": str(path)} for path in images]
    for path in dicom_folders(folder):
        cases.append({"id": "_".join(path.relative_to(folder).parts), "image": str(path)})
    return cases


def images_near(folder: Path) -> list[str]:
    """Return the names of images right in a folder or its ``labels/`` and the like, and of DICOM folders there.

    It looks no deeper, so that any folder is checked quickly.
    """
    within = [folder, *(folder / name for layout in LAYOUTS for name in layout if (folder / name).is_dir())]
    entries = [path for near in within for path in near.iterdir() if os.access(path, os.R_OK)]
    images = {path.name for path in entries if path.is_file() and (is_readable(path) or looks_like_dicom(path))}
    return sorted(images | {path.name for path in entries if path.is_dir() and _holds_dicom(path)})


def dicom_folders(folder: Path) -> list[Path]:
    """Return the folders below `folder`, however deep, that hold DICOM files; what is below these is theirs."""
    found: list[Path] = []
    for parent, names, _ in walk(folder):
        here = [name for name in names if _holds_dicom(Path(parent, name))]
        found += [Path(parent, name) for name in here]
        names[:] = [name for name in names if name not in here]
    return sorted(found)


def _holds_dicom(folder: Path) -> bool:
    """Say whether a file right inside `folder` begins as DICOM does, medseg's own results left out."""
    files = (path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    return any(looks_like_dicom(path) for path in files if not path.name.endswith(RESULT_SUFFIXES))


def _decathlon(path: Path, labelled: bool) -> list[Case]:
    try:
        listed = json.loads((path / "dataset.json").read_text(encoding="utf-8"))
        training, test = listed["training"], listed.get("test", [])
        cases = [
            {"id": case_id(c["image"]), "image": str(path / c["image"]), "label": str(path / c["label"])}
            for c in training
        ]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            "FILE_UNREADABLE",
            f"{path / 'dataset.json'} is not the Medical Segmentation Decathlon's: a list `training` of "
            f"objects with `image` and `label` is needed ({type(error).__name__}: {error})",
        ) from error
    if not labelled:
        cases += [{"id": case_id(image), "image": str(path / image)} for image in test]
    gone = [case["id"] for case in cases if not Path(case["image"]).exists()]
    if gone:
        raise InputError("FILE_MISSING", f"{path}: dataset.json lists {some(gone)}, which are not there")
    return cases
