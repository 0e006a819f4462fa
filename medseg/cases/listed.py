"""Data sets that a ``dataset.json`` describes: the Medical Segmentation Decathlon's, and nnU-Net's raw form."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from medseg.cases.described import FILE, read_listing
from medseg.errors import InputError
from medseg.read import is_readable

Case = dict[str, Any]
CHANNEL = re.compile(r"(.+)_(\d{4})\Z")  # nnU-Net's names: case_0000, case_0001, … are the channels of `case`
TRAINING, TEST, LABELS = "imagesTr", "imagesTs", "labelsTr"


def lists_cases(folder: Path) -> bool:
    """Say whether a ``dataset.json`` lists a folder's cases; nnU-Net leaves one of its own beside predictions."""
    return (folder / FILE).is_file() and not any(map(is_readable, folder.iterdir()))


def lists_images(folder: Path) -> bool:
    """Say whether a ``dataset.json`` says which images there are, by a list or by nnU-Net's names of files."""
    listed = read_listing(folder / FILE)
    return "channel_names" in listed or any(key in listed for key in ("training", "dataset"))


def images_of(case: Mapping[str, Any]) -> list[str]:
    """Return the paths of a case's images, one a channel; a lone one may hold several channels."""
    image = case["image"]
    return [str(image)] if isinstance(image, (str, Path)) else [str(one) for one in image]


def named_channels(folder: Path) -> int:
    """Return how many files are a case in a folder of images in nnU-Net's raw form; 0 for any other folder."""
    above = folder.parent
    if not folder.is_dir() or not folder.name.startswith("images") or not lists_cases(above):
        return 0
    return len(read_listing(above / FILE).get("channel_names", ()))


def listed_cases(path: Path, labelled: bool) -> list[Case]:
    """Return the cases of a folder with a ``dataset.json``.

    Raises
    ------
    InputError
        `FILE_UNREADABLE`.
    """
    listed = read_listing(path / FILE)
    return _nnunet(path, listed, labelled) if "channel_names" in listed else _decathlon(path, listed, labelled)


def _decathlon(path: Path, listed: Mapping[str, Any], labelled: bool) -> list[Case]:
    try:
        training, test = listed["training"], listed.get("test", [])
        cases = [
            {"id": case_id(c["image"]), "image": str(path / c["image"]), "label": str(path / c["label"])}
            for c in training
        ]
        if not labelled:
            cases += [{"id": case_id(image), "image": str(path / image)} for image in test]
    except (KeyError, TypeError) as error:
        raise InputError(
            "FILE_UNREADABLE",
            f"{path / FILE} is not the Medical Segmentation Decathlon's: a list `training` of "
            f"objects with `image` and `label` is needed ({type(error).__name__}: {error})",
        ) from error
    return cases


def _nnunet(path: Path, listed: Mapping[str, Any], labelled: bool) -> list[Case]:
    """Return nnU-Net's cases, by its folders or, where it has one, its list ``dataset``."""
    channels, ending = len(listed["channel_names"]), str(listed.get("file_ending", ".nii.gz"))
    if isinstance(listed.get("dataset"), Mapping):
        cases = [_entry(path, name, entry) for name, entry in listed["dataset"].items()]
    else:
        cases = by_channel(_files(path / TRAINING, ending), channels)
        for case in cases:
            label = path / LABELS / f"{case['id']}{ending}"
            case |= {"label": str(label)} if label.is_file() else {}
    return cases if labelled else [*cases, *by_channel(_files(path / TEST, ending), channels)]


def _entry(path: Path, name: str, entry: Any) -> Case:
    try:
        images = [str((path / file).resolve()) for file in entry["images"]]
        return {"id": name, "image": images if len(images) > 1 else images[0], "label": str(path / entry["label"])}
    except (KeyError, TypeError, IndexError) as error:
        raise InputError(
            "FILE_UNREADABLE", f"{path / FILE}: `dataset`, {name!r} needs a list `images` and a `label`"
        ) from error


def _files(folder: Path, ending: str) -> list[Case]:
    if not folder.is_dir():
        return []
    files = (file for file in folder.iterdir() if file.name.lower().endswith(ending.lower()) and is_readable(file))
    return [{"id": file.name[: -len(ending)], "image": str(file)} for file in sorted(files)]


def by_channel(cases: Sequence[Case], channels: int) -> list[Case]:
    """Return the cases whose files ``<case>_0000``, ``<case>_0001``, … are their channels.

    Parameters
    ----------
    cases
        One a file; a file of another name stays a case of its own.
    channels
        How many there are. The path of a file that is missing is there too: reading it says so.
    """
    found: dict[str, dict[int, str]] = {}
    others = []
    for case in cases:
        match = CHANNEL.fullmatch(case["id"])
        if match is None:
            others.append(case)
        else:
            found.setdefault(match[1], {})[int(match[2])] = case["image"]
    return [*others, *({"id": name, "image": _paths(files, channels)} for name, files in found.items())]


def _paths(files: Mapping[int, str], channels: int) -> str | list[str]:
    there, pattern = next(iter(files.items()))
    folder, name = Path(pattern).parent, Path(pattern).name
    head, _, tail = name.rpartition(f"_{there:04}")
    wanted = sorted({*range(channels), *files})
    paths = [files.get(n, str(folder / f"{head}_{n:04}{tail}")) for n in wanted]
    return paths if len(paths) > 1 else paths[0]


def case_id(path: str | Path) -> str:
    """Return the case's name: the file's without ``.nii.gz`` or the like, or the DICOM folder's."""
    path = Path(path)
    name = re.sub(r"(\.nii)?(\.gz)?\Z", "", path.name, flags=re.IGNORECASE)
    return path.stem if is_readable(path) and name == path.name else name
