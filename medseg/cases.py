"""Find the cases of a data set, split them, and check them before anything is started.

A case is ``{"id": str, "image": str, "label": str}``; ``label`` is absent where there is none.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from medseg.errors import InputError
from medseg.label_maps import as_labels, check_ids, check_same_grid, ids_in
from medseg.read import is_readable, looks_like_dicom, read_volume
from medseg.read.dicom import walk
from medseg.write import write_json

Case = dict[str, str]

LAYOUTS = (("images", "labels"), ("imagesTr", "labelsTr"))
SUBSETS = ("training", "validation", "test")
PROBLEMS_SHOWN = 5
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

    It looks no deeper, so that a folder of anything is told in a moment.
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
    """Say whether a file right inside `folder` begins as DICOM does, results of ours left out."""
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


def split_cases(
    cases: Sequence[Case], *, seed: int = 0, validation: float = 0.2, test: float = 0.0
) -> dict[str, list[str]]:
    """Divide case ids into training, validation and test.

    Each id's place follows from the seed and the id alone, so that the order of files does not matter
    and a case added later moves few others.

    Returns
    -------
    dict
        ``{"training": [...], "validation": [...], "test": [...]}``; training and, where its share is not
        zero, each other part hold at least one case.
    """
    ids = sorted(
        (case["id"] for case in cases), key=lambda name: hashlib.sha256(f"{seed}/{name}".encode()).hexdigest()
    )
    sizes = [max(1, round(len(ids) * share)) if share > 0 else 0 for share in (validation, test)]
    if len(ids) - sum(sizes) < 1:
        raise InputError("CASES_EMPTY", f"{len(ids)} cases are too few to train and validate on; add some")
    first, second = sizes[0], sum(sizes)
    return {
        "training": sorted(ids[second:]),
        "validation": sorted(ids[:first]),
        "test": sorted(ids[first:second]),
    }


def load_or_make_split(path: str | Path, cases: Sequence[Case], **settings: Any) -> dict[str, list[str]]:
    """Return the split at `path`, a JSON file, made there by `split_cases` where there is none yet."""
    path = Path(path)
    if not path.is_file():
        split = split_cases(cases, **settings)
        write_json(path, {**settings, **split})
        return split
    return read_split(path, cases)


def read_split(path: str | Path, cases: Sequence[Case]) -> dict[str, list[str]]:
    """Return the split at `path`, of cases that are all among `cases`."""
    path = Path(path)
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        split = {name: list(stored[name]) for name in SUBSETS}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            "FILE_UNREADABLE", f"{path} is no split: lists {', '.join(SUBSETS)} are needed"
        ) from error
    known = {case["id"] for case in cases}
    strangers = [name for names in split.values() for name in names if name not in known]
    if strangers:
        raise InputError("CASES_NOT_IN_DATASET", f"{path} names {some(strangers)}, which the data set has not")
    return split


def choose_cases(cases: Sequence[Case], split: Mapping[str, Sequence[str]], subset: str) -> list[Case]:
    """Return the cases of ``training``, ``validation`` or ``test``, or ``all``, in the order of `cases`."""
    if subset == "all":
        return list(cases)
    if subset not in split:
        raise InputError("CONFIG_BAD_VALUE", f"--subset {subset!r}: all, {', '.join(SUBSETS)} are known")
    wanted = set(split[subset])
    if not wanted:
        raise InputError("CASES_EMPTY", f"the split has no {subset} cases; change its shares or the subset")
    return [case for case in cases if case["id"] in wanted]


def check_cases(cases: Sequence[Case], label_ids: Sequence[int], *, threads: int = 4) -> None:
    """Read every case once and refuse the set where one cannot be trained on.

    Raises
    ------
    InputError
        The first case's problem: an unreadable file, `GEOMETRY_LABEL_GRID`, `LABEL_UNKNOWN_ID` or
        `LABEL_NOT_INTEGER`; the message says how many more cases have one.
    """

    def problem(case: Case) -> InputError | None:
        try:
            _check_case(case, set(label_ids))
        except InputError as error:
            return error
        return None

    with ThreadPoolExecutor(threads) as pool:
        problems = [error for error in pool.map(problem, cases) if error is not None]
    if problems:
        more = f" (and {len(problems) - 1} more cases with a problem)" if len(problems) > 1 else ""
        raise InputError(problems[0].code, f"{problems[0].args[0]}{more}")


def _check_case(case: Case, label_ids: set[int]) -> None:
    image, label = read_volume(case["image"]), read_volume(case["label"])
    check_same_grid(case["id"], image, label)
    check_ids(ids_in(as_labels(label, case["label"])), label_ids, case["label"])


def some(names: Sequence) -> str:
    """Return the first few names, and how many more there are."""
    shown = ", ".join(map(str, names[:PROBLEMS_SHOWN]))
    return shown if len(names) <= PROBLEMS_SHOWN else f"{shown} and {len(names) - PROBLEMS_SHOWN} others"
