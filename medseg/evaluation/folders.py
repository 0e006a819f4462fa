"""The folders of an evaluation: where references are, and where its files may go."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from medseg.cases import LAYOUTS, Case, find_cases, images_near, lists_cases
from medseg.errors import InputError, some

WRITTEN = ("summary.json", "cases.csv", "report.html", "overlays")


def readable(name: str) -> str:
    """Return a file's name as text that any file can hold: bytes that are no UTF-8 are written as ``\\udce9``."""
    return name.encode("utf-8", "backslashreplace").decode("utf-8")


def check_output(output: str | Path, groups: str | Path | None = None) -> None:
    """Refuse, before anything is compared, a folder that cannot be written to or holds what none made.

    Raises
    ------
    InputError
        `OUTPUT_UNWRITABLE`; `OUTPUT_WOULD_OVERWRITE`; `CONFIG_BAD_VALUE` where it holds images, since of three or
        four folders the last is written to.
    """
    folder = Path(output).expanduser()
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not there.is_dir() or not os.access(there, os.R_OK | os.W_OK | os.X_OK):
        found = "may not be written to" if there.is_dir() else "is a file"
        raise InputError("OUTPUT_UNWRITABLE", f"{output}: {there} {found}; choose another folder")
    if groups is not None and Path(groups).expanduser().resolve() == (folder / "cases.csv").resolve():
        raise InputError(
            "OUTPUT_WOULD_OVERWRITE", f"groups {groups} is where the evaluation's own cases.csv goes; rename it"
        )
    if not folder.exists() or _was_evaluated_into(folder):
        return
    held = images_near(folder)
    if held:
        raise InputError(
            "CONFIG_BAD_VALUE",
            f"output {output} holds images ({some(held)}) and no evaluation; OUTPUT comes last (PREDICTIONS "
            "[PREDICTIONS_B] REFERENCES OUTPUT), and is a new folder or one that was evaluated into",
        )
    taken = [name for name in WRITTEN if os.path.lexists(folder / name)]
    if taken:
        raise InputError(
            "OUTPUT_WOULD_OVERWRITE",
            f"output {output} holds {some(taken)}, which no evaluation of medseg's wrote; move it away, or give "
            "another folder",
        )


def _was_evaluated_into(folder: Path) -> bool:
    """Say whether a folder's ``summary.json`` is ours; nnU-Net leaves one of its own beside its predictions."""
    with suppress(OSError, ValueError, AttributeError):
        summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
        return "medseg" in summary.get("provenance", {})
    return False


def check_not_references(folders: Sequence[str | Path], references: str | Path, cases: Sequence[Case]) -> None:
    """Refuse references given as predictions: their Dice of 1 would say nothing.

    Raises
    ------
    InputError
        `CONFIG_BAD_VALUE`.
    """
    places = [Path(references).expanduser(), *{Path(case["label"]).parent for case in cases}]
    own = set(map(os.path.realpath, places))
    for folder in folders:
        if os.path.realpath(Path(folder).expanduser()) in own:
            raise InputError(
                "CONFIG_BAD_VALUE",
                f"predictions and references are the same folder, {folder}; give the one with the predictions "
                "first, then the one with the references",
            )


def find_references(path: str | Path) -> list[Case]:
    """Return the labelled cases of a data set, or those of a folder of label maps.

    Beside ``labels/`` or ``labelsTr/``, the images give the pictures their background.
    """
    path = Path(path).expanduser().resolve()
    if path.is_dir() and (lists_cases(path) or any((path / labels).is_dir() for _, labels in LAYOUTS)):
        return find_cases(path, labelled=True)
    sibling = {labels: images for images, labels in LAYOUTS}.get(path.name)
    images = {}
    if sibling and (path.parent / sibling).is_dir():
        with suppress(InputError):  # the numbers need no images
            images = {case["id"]: case["image"] for case in find_cases(path.parent / sibling, nested=False)}
    images |= {name.removesuffix("_0000"): image for name, image in images.items()}  # nnU-Net's first channel
    return [
        {
            "id": case["id"],
            "label": case["image"],
            **({"image": images[case["id"]]} if case["id"] in images else {}),
        }
        for case in find_cases(path, nested=False)
    ]
