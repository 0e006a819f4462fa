"""Trees after the Brain Imaging Data Structure (https://bids-specification.readthedocs.io, 1.10).

Images are ``sub-<label>/[ses-<label>/]anat/*_<contrast>.nii.gz``; label maps are among the derivatives of some
pipeline, ``derivatives/<pipeline>/sub-<label>/…/*_dseg.nii.gz``, ``*_mask.nii.gz`` or ``*_label-<name>*``.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from medseg.errors import InputError, some
from medseg.read import is_nifti, walk

Case = dict[str, Any]
DERIVATIVES, ANATOMY = "derivatives", "anat"
SUBJECT = re.compile(r"sub-[^_/]+")
SESSION = re.compile(r"ses-[^_/]+")
LABELS = (re.compile(r"_dseg\."), re.compile(r"_mask\."), re.compile(r"_label-"))  # the first kind there is counts
FIRST = "T1w"  # the contrast that is taken where cases do not have the same ones


def is_bids(folder: Path) -> bool:
    """Say whether a folder is such a tree: subjects with anatomy, and derivatives or a description beside them."""
    if not (folder / DERIVATIVES).is_dir() and not (folder / "dataset_description.json").is_file():
        return False
    return any(True for _ in _anatomies(folder))


def bids_cases(folder: Path, labelled: bool) -> list[Case]:
    """Return one case a subject and session.

    Its channels are the contrasts that every case has, in the order of the alphabet; where they have none in
    common, the one that most have (``T1w`` of several such).

    Raises
    ------
    InputError
        `CASES_SEVERAL_LABELS`: derivatives hold several label maps of a case; `FILE_MISSING`: a case has not the
        contrast of the others.
    """
    images = {_name(where): _contrasts(where) for where in _anatomies(folder)}
    labels = _labels(folder / DERIVATIVES, images)
    wanted = {name: found for name, found in images.items() if found and (name in labels or not labelled)}
    contrasts = _common(wanted.values())
    cases = []
    for name, found in wanted.items():
        paths = [str(found[contrast]) for contrast in contrasts if contrast in found]
        if not paths:
            raise InputError(
                "FILE_MISSING", f"{name} has no {contrasts[0]}, which most cases have; add or remove it"
            )
        case: Case = {"id": name, "image": paths if len(paths) > 1 else paths[0]}
        cases.append({**case, "label": str(labels[name])} if name in labels else case)
    return cases


def _anatomies(folder: Path) -> Iterator[Path]:
    for subject in sorted(folder.glob("sub-*")):
        yield from (where for where in sorted(subject.glob(f"ses-*/{ANATOMY}")) if where.is_dir())
        if (subject / ANATOMY).is_dir():
            yield subject / ANATOMY


def _name(where: Path) -> str:
    """Return the case that a path is of: its subject and session."""
    found = (pattern.search(str(where)) for pattern in (SUBJECT, SESSION))
    return "_".join(match[0] for match in found if match)


def _contrasts(where: Path) -> dict[str, Path]:
    """Return a case's images by contrast; of several of one (runs), the first by name."""
    found: dict[str, Path] = {}
    for file in sorted(where.iterdir()):
        if is_nifti(file) and not any(kind.search(file.name) for kind in LABELS):
            found.setdefault(file.name.split(".")[0].rpartition("_")[2], file)
    return found


def _common(cases: Iterable[dict[str, Path]]) -> list[str]:
    cases = list(cases)
    count = Counter(contrast for case in cases for contrast in case)
    every = sorted(contrast for contrast, n in count.items() if n == len(cases))
    return (
        every or [max(count, key=lambda contrast: (count[contrast], contrast == FIRST, contrast))] if count else []
    )


def _labels(folder: Path, cases: Iterable[str]) -> dict[str, Path]:
    found: dict[str, list[Path]] = defaultdict(list)
    if folder.is_dir():
        for parent, _, names in walk(folder):
            below = Path(parent).relative_to(folder)
            for name in names:
                if is_nifti(name) and any(kind.search(name) for kind in LABELS):
                    found[_name(below) or _name(Path(name))].append(Path(parent, name))
    return {name: _only(name, found[name]) for name in cases if name in found}


def _only(name: str, files: Sequence[Path]) -> Path:
    kinds = ([file for file in files if kind.search(file.name)] for kind in LABELS)
    best = next(files for files in kinds if files)
    if len(best) > 1:
        raise InputError(
            "CASES_SEVERAL_LABELS",
            f"{name} has several label maps, {some(sorted(file.name for file in best))}; leave one in "
            "derivatives, with all its labels",
        )
    return best[0]
