"""Cases in, results out: one case at a time, a line in the manifest for each, resumable."""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from traceback import walk_tb
from typing import Any

import numpy as np
import torch
from monai.inferers import Inferer
from monai.transforms import Compose
from tqdm import tqdm

from medseg.bundle import read_metadata
from medseg.cases import Case
from medseg.errors import CasesFailed, InputError, cause_of
from medseg.infer import choose_device
from medseg.postprocess import PRED
from medseg.preprocess import IMAGE
from medseg.read import Volume, read_volume
from medseg.results import check_formats, check_volume, write_results
from medseg.write import append_line, sha256_of

MANIFEST = "manifest.jsonl"
log = logging.getLogger(__name__)


def predict_cases(
    cases: Sequence[Case],
    output_dir: str | Path,
    *,
    preprocessing: Compose,
    network: torch.nn.Module,
    inferer: Inferer,
    postprocessing: Compose,
    device: str | torch.device,
    bundle: str | Path,
    weights: str | Path,
    formats: str | Sequence[str] = ("nifti",),
    seg_type: str = "BINARY",
    select: Mapping[str, str] | None = None,
) -> list[dict[str, Any]]:
    """Predict each case that `output_dir` has not yet, and record each attempt in its manifest.

    A case that fails is recorded with its code and the rest go on. A case is done when its record is of the
    same input, selection, weights and metadata, has every format asked for, and the files it names have the hashes
    recorded there; a rerun skips it.

    Parameters
    ----------
    formats
        Some of ``"nifti"``, ``"dicom-seg"`` and ``"rtstruct"``.
    seg_type
        Of the DICOM SEG: ``"BINARY"`` or ``"LABELMAP"``.
    select
        Which volume is meant where a case's folder holds several, see `medseg.read_volume`.

    Returns
    -------
    list of dict
        One manifest record a case, in the order of `cases`.
    """
    formats = check_formats(formats, seg_type)
    select = {key: value for key, value in (select or {}).items() if value}
    output_dir = Path(output_dir)
    output_dir.mkdir(parents=True, exist_ok=True)
    meta = read_metadata(bundle)
    check = partial(check_volume, spatial_dims=meta["medseg"]["network"]["spatial_dims"], formats=formats)
    write = partial(write_results, output_dir, metadata=meta, formats=formats, seg_type=seg_type)
    made_by = {
        "name": meta["name"],
        "version": meta["version"],
        "weights_sha256": sha256_of(weights),
        "metadata_sha256": sha256_of(Path(bundle) / "configs" / "metadata.json"),
    }
    pipeline = {
        "preprocessing": preprocessing,
        "network": network.to(choose_device(device)).eval(),
        "inferer": inferer,
        "postprocessing": postprocessing,
        "check": check,
        "select": select,
    }
    done = _done(output_dir, {"bundle": made_by, "select": select, "formats": formats, "seg_type": seg_type})
    records = []
    for case in tqdm(cases, unit="case", desc="predicting", disable=not sys.stderr.isatty()):
        record = done.get(case["id"])
        if record is None or record["inputs"] != [case["image"]]:
            record = {**_attempt(case, pipeline, write), "bundle": made_by, "select": select}
            append_line(output_dir / MANIFEST, record)
        records.append(record)
    finished = sum(record["status"] == "done" for record in records)
    log.info("%d of %d cases done, in %s", finished, len(records), output_dir)
    return records


def predict_case(
    case: Case,
    *,
    preprocessing: Compose,
    network: torch.nn.Module,
    inferer: Inferer,
    postprocessing: Compose,
    check: Callable[[Volume], None] | None = None,
    select: Mapping[str, str] | None = None,
    timings_s: dict[str, float] | None = None,
) -> tuple[np.ndarray, Volume]:
    """Return the label map (I, J, K), uint8, of one case on its own grid, and the volume it is of.

    `check` is called with the volume before anything slow is done with it, and may refuse it.
    """
    timings_s = {} if timings_s is None else timings_s
    device = next(network.parameters()).device
    with _timed(timings_s, "read"):
        volume = read_volume(case["image"], **(select or {}))
    if check is not None:
        check(volume)
    with _timed(timings_s, "preprocess"):
        data = preprocessing({IMAGE: volume})
    with _timed(timings_s, "infer"), torch.inference_mode():
        data[PRED] = inferer(data[IMAGE][None].to(device), network)[0].cpu()
    with _timed(timings_s, "postprocess"):
        labels = postprocessing(data)[PRED][0].numpy()
    return labels, volume


def _attempt(
    case: Case, pipeline: Mapping[str, Any], write: Callable[[str, np.ndarray, Volume], list[dict[str, str]]]
) -> dict[str, Any]:
    started = datetime.now(timezone.utc).isoformat(timespec="seconds")
    timings_s: dict[str, float] = {}
    record: dict[str, Any] = {"case": case["id"], "status": "failed", "codes": [], "message": ""}
    record |= {"inputs": [case["image"]], "outputs": [], "timings_s": timings_s, "started": started}
    try:
        labels, volume = predict_case(case, timings_s=timings_s, **pipeline)
        with _timed(timings_s, "write"):
            outputs = write(case["id"], labels, volume)
        record |= {"status": "done", "codes": list(volume.codes), "outputs": outputs}
    except Exception as error:  # one bad case must not end the others'
        found = cause_of(error)
        if not isinstance(found, InputError):
            found = InputError("CASE_FAILED", _what_and_where(error))
        record["codes"], record["message"] = [found.code], str(found.args[0])
        log.warning("%s: %s", case["id"], found)
    record["peak_rss_mib"] = _peak_rss_mib()
    record["medseg"] = _version()
    return record


def _what_and_where(error: BaseException) -> str:
    """Return the first error's type and where it was raised; its text may quote a patient's name."""
    places: list[str] = []
    cause: BaseException | None = error
    while cause is not None:  # from the outermost call of ours to the one that raised
        error = cause
        places += [f"{frame.f_globals['__name__']}:{line}" for frame, line in walk_tb(error.__traceback__)]
        cause = error.__cause__ or error.__context__
    ours = [place for place in places if place.startswith("medseg.")]
    return f"{type(error).__name__} at {', called from '.join(dict.fromkeys([places[-1], *ours[-1:]]))}"


def _done(output_dir: Path, wanted: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the newest record of each case whose outputs are there, whole, and as they are wanted."""
    manifest = output_dir / MANIFEST
    if not manifest.is_file():
        return {}
    newest: dict[str, dict[str, Any]] = {}
    for line in manifest.read_text(encoding="utf-8").splitlines():
        try:
            record = json.loads(line)
        except ValueError:  # the line being written when the machine went down
            continue
        newest[record["case"]] = record
    return {name: record for name, record in newest.items() if _is_done(record, output_dir, wanted)}


def _is_done(record: Mapping[str, Any], output_dir: Path, wanted: Mapping[str, Any]) -> bool:
    if record["status"] != "done" or any(record.get(key) != wanted[key] for key in ("bundle", "select")):
        return False
    made = {output.get("format", "nifti"): output for output in record["outputs"]}
    if not set(wanted["formats"]) <= set(made):
        return False
    if "dicom-seg" in wanted["formats"] and made["dicom-seg"]["seg_type"] != wanted["seg_type"]:
        return False
    files = [(output_dir / output["path"], output["sha256"]) for output in record["outputs"]]
    return all(path.is_file() and sha256_of(path) == digest for path, digest in files)


@contextmanager
def _timed(timings_s: dict[str, float], stage: str) -> Iterator[None]:
    start = time.perf_counter()
    try:
        yield
    finally:
        timings_s[stage] = round(time.perf_counter() - start, 3)


def fail_if_any(records: Sequence[Mapping[str, Any]], output_dir: str | Path) -> None:
    """Raise `CasesFailed` where a record says so; what gives ``monai.bundle run`` its exit status."""
    failed = [record["case"] for record in records if record["status"] == "failed"]
    if failed:
        raise CasesFailed(f"{len(failed)} of {len(records)} cases failed: see {Path(output_dir) / MANIFEST}")


def _peak_rss_mib() -> int:
    try:
        import resource
    except ImportError:  # Windows
        return 0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def _version() -> str:
    from medseg import __version__

    return __version__
