"""``manifest.jsonl``: one line an attempt, and what it says is done. Light to import: no MONAI, no torch."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import datetime, timezone
from pathlib import Path
from traceback import walk_tb
from typing import Any

from medseg.cases import Case
from medseg.errors import InputError, cause_of, causes_of
from medseg.files import append_line, check_writable, sha256_of, sweep
from medseg.write import check_formats

MANIFEST = "manifest.jsonl"
RETRIES = "medseg.infer.memory:"  # calls everything once more, and is where nothing goes wrong
Record = dict[str, Any]


def wanted(
    bundle: str | Path,
    metadata: Mapping[str, Any],
    weights: str | Path | Sequence[str | Path],
    *,
    formats: str | Sequence[str],
    seg_type: str,
    select: Mapping[str, str] | None,
    mirror_axes: Sequence[int] = (),
) -> dict[str, Any]:
    """Return what a record has to say for its case to be done: the model, the selection, the formats.

    Raises
    ------
    InputError
        `CONFIG_BAD_VALUE`: a format or a type of SEG that is not written here.
    """
    formats = check_formats(formats, seg_type)
    hashes = [sha256_of(path) for path in ([weights] if isinstance(weights, (str, Path)) else weights)]
    made_by: dict[str, Any] = {
        "name": metadata["name"],
        "version": metadata["version"],
        "weights_sha256": hashes[0] if len(hashes) == 1 else hashes,
        "metadata_sha256": sha256_of(Path(bundle) / "configs" / "metadata.json"),
    }
    if mirror_axes:
        made_by["mirror_axes"] = list(mirror_axes)
    chosen = {key: value for key, value in (select or {}).items() if value}
    return {"bundle": made_by, "select": chosen, "formats": formats, "seg_type": seg_type}


def share(cases: Sequence[Case], shard: str = "") -> list[Case]:
    """Return the cases of one shard, ``"i/n"`` with i from 1; all of them for ``""``.

    A case's shard follows from its id alone, so that a case that comes or goes moves no other.

    Raises
    ------
    InputError
        `CONFIG_BAD_VALUE`; `CASES_DUPLICATE_ID`, since the outputs of two cases of one name would be one.
    """
    twice = [name for name, count in Counter(case["id"] for case in cases).items() if count > 1]
    if twice:
        raise InputError("CASES_DUPLICATE_ID", f"several cases are called {twice[0]}; rename them")
    if not shard:
        return list(cases)
    parts = re.fullmatch(r"(\d+)/(\d+)", str(shard))
    number, count = map(int, parts.groups()) if parts else (0, 0)
    if not 1 <= number <= count:
        raise InputError("CONFIG_BAD_VALUE", f"shard {shard!r}: i/n is needed, with i from 1 to n, such as 2/4")
    return [case for case in cases if _place(case["id"]) % count == number - 1]


def _place(name: str) -> int:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")


def records_in(output_dir: str | Path) -> Iterator[Record]:
    """Yield the records of a folder's manifest, the oldest first; a line that was cut off is none."""
    manifest = Path(output_dir) / MANIFEST
    if manifest.is_file():
        for line in manifest.read_bytes().split(b"\n"):
            with suppress(ValueError):
                record = json.loads(line)
                if isinstance(record, dict) and isinstance(record.get("case"), str):
                    yield record


def read_newest(output_dir: str | Path) -> dict[str, Record]:
    """Return the newest record of each case."""
    return {record["case"]: record for record in records_in(output_dir)}


def finished(cases: Iterable[Case], output_dir: str | Path, want: Mapping[str, Any]) -> dict[str, Record]:
    """Return the records of the cases whose outputs are there, whole, and as `wanted` says."""
    newest = read_newest(output_dir)
    known = [(case, newest[case["id"]]) for case in cases if case["id"] in newest]
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        done = list(pool.map(lambda pair: is_done(pair[0], pair[1], output_dir, want), known))
    return {case["id"]: record for (case, record), yes in zip(known, done, strict=True) if yes}


def is_done(case: Case, record: Mapping[str, Any], output_dir: str | Path, want: Mapping[str, Any]) -> bool:
    """Say whether a record is of this input, of this model and selection, and its outputs have its hashes."""
    try:
        if record["status"] != "done" or record["inputs"] != [case["image"]]:
            return False
        if any(record[key] != want[key] for key in ("bundle", "select")):
            return False
        made = {output.get("format", "nifti"): output for output in record["outputs"]}
        if not set(want["formats"]) <= set(made):
            return False
        if "dicom-seg" in want["formats"] and made["dicom-seg"]["seg_type"] != want["seg_type"]:
            return False
        files = [(Path(output_dir) / output["path"], output["sha256"]) for output in record["outputs"]]
        return all(path.is_file() and sha256_of(path) == digest for path, digest in files)
    except (KeyError, TypeError, AttributeError, OSError):  # not a record of ours, or a file that cannot be read
        return False


def begun(case: Case) -> Record:
    """Return the record of an attempt that begins now; it has failed unless something else is said of it."""
    started = datetime.now(timezone.utc).isoformat(timespec="seconds")
    record: Record = {"case": case["id"], "status": "failed", "codes": [], "message": ""}
    return {**record, "inputs": [case["image"]], "outputs": [], "timings_s": {}, "started": started}


@contextmanager
def failures_in(record: Record) -> Iterator[None]:
    """Put what goes wrong in the block down in the record: one bad case must not end the others'."""
    try:
        yield
    except Exception as error:
        found = cause_of(error)
        if not isinstance(found, InputError):
            found = InputError("CASE_FAILED", _what_and_where(error))
        record["codes"], record["message"] = [found.code], str(found.args[0])


def _what_and_where(error: BaseException) -> str:
    """Return the first error's type and where it was raised; its text may quote a patient's name.

    Nothing raises here, whatever the error is: a frame of generated code, such as torch.fx makes, has no name.
    """
    causes = list(causes_of(error))  # from the outermost call of ours to the one that raised
    places = [
        f"{frame.f_globals.get('__name__', 'generated code')}:{line}"
        for cause in causes
        for frame, line in walk_tb(cause.__traceback__)
    ]
    ours = [
        place for place in places if place.startswith("medseg.") and not place.startswith("medseg.infer.memory:")
    ]
    where = ", called from ".join(dict.fromkeys([*places[-1:], *ours[-1:]]))
    return f"{type(causes[-1]).__name__} at {where or 'an unknown place'}"


def append(output_dir: str | Path, record: Mapping[str, Any]) -> None:
    """Add a record; see `medseg.write.append_line`."""
    append_line(Path(output_dir) / MANIFEST, record)


def make_ready(output_dir: str | Path) -> None:
    """Make the folder, clear it of what killed runs left half-written, and refuse one that cannot be written to.

    Raises
    ------
    InputError
        `OUTPUT_UNWRITABLE`, `OUTPUT_NO_SPACE`.
    """
    check_writable(output_dir, MANIFEST)
    sweep(output_dir)
