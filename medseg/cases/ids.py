"""Ids of cases: each names files, so none may lead elsewhere, and no two may be one on any file system."""

from __future__ import annotations

import hashlib
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from medseg.errors import InputError, some

ID_BYTES = 200  # of the 255 that file systems allow, for suffixes and for names while files are written
NOT_IN_IDS = ("/", "\\", "\0")
OURS = (".part-", ".writing-")  # how names begin that are given while files are written


def case_ids(paths: Sequence[tuple[str, ...]]) -> list[str]:
    """Return a name for each path below a data set's folder, its last part without the file's suffix.

    The parts are joined by ``_``. Where that makes one name of several paths, as of ``a/b_c`` and ``a_b/c``, or
    one too long for a file, a hash of the path ends the name.
    """
    joined = ["_".join(parts) for parts in paths]
    places: dict[str, set[tuple[str, ...]]] = defaultdict(set)
    for name, parts in zip(joined, paths, strict=True):
        places[name].add(parts)
    return [
        name if len(places[name]) == 1 and len(_bytes(name)) <= ID_BYTES else _with_hash(name, parts)
        for name, parts in zip(joined, paths, strict=True)
    ]


def _with_hash(name: str, parts: Sequence[str]) -> str:
    digest = hashlib.sha256(_bytes("/".join(parts))).hexdigest()[:8]
    while len(_bytes(name)) > ID_BYTES - 9:
        name = name[:-1]
    return f"{name}-{digest}"


def _bytes(name: str) -> bytes:
    return name.encode("utf-8", "surrogateescape")


def check_case_ids(cases: Iterable[Mapping[str, Any]]) -> None:
    """Refuse cases without an id or an image, ids that are no plain name, and two that are one.

    Some file systems take ``case`` and ``CASE`` for one name, others a composed and a decomposed ``é``; results
    may be copied to either, so such ids count as the same everywhere.

    Raises
    ------
    InputError
        `CASES_BAD_ID`, `CASES_DUPLICATE_ID`.
    """
    names = []
    for n, case in enumerate(cases):
        for key in ("id", "image"):
            if not isinstance(case, Mapping) or not _is_text(case.get(key), several=key == "image"):
                raise InputError(
                    "CASES_BAD_ID",
                    f"case {n} is {_shown(case)}: `id` and `image` are needed, both text; `image` may be a "
                    "list of paths, one a channel",
                )
        names.append(str(case["id"]))
        if (problem := _problem(names[-1])) is not None:
            raise InputError(
                "CASES_BAD_ID",
                f"case id {names[-1]!r} {problem}; an id names files of the output folder: rename it",
            )
    same: dict[str, list[str]] = defaultdict(list)
    for name in names:
        same[folded(name)].append(name)
    for alike in same.values():
        if len(alike) > 1:
            several = "several cases are called" if len(Counter(alike)) == 1 else "one name on some file systems:"
            raise InputError("CASES_DUPLICATE_ID", f"{several} {some(sorted(set(alike)))}; rename them")


def _is_text(value: Any, several: bool) -> bool:
    if several and isinstance(value, (list, tuple)):
        return bool(value) and all(_is_text(each, False) for each in value)
    return isinstance(value, (str, Path)) and bool(str(value))


def folded(name: str) -> str:
    """Return what is the same of names that a file system may take for one."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def _problem(name: str) -> str | None:
    if name in (".", ".."):
        return "is a folder"
    for part in NOT_IN_IDS:
        if part in name:
            return f"has {part!r} in it"
    if name.startswith(OURS):
        return (
            f"begins with {next(part for part in OURS if name.startswith(part))!r}, as names of unfinished files"
        )
    size = len(_bytes(name))
    return f"takes {size} bytes, {ID_BYTES} are allowed" if size > ID_BYTES else None


def _shown(case: Any) -> str:
    return f"an object with {', '.join(map(str, case)) or 'no keys'}" if isinstance(case, Mapping) else repr(case)
