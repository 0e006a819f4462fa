"""Cases in, label maps out: one case at a time, a line in the manifest for each, resumable."""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
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
from medseg.read import is_nifti
from medseg.write import append_line, sha256_of, write_label_map

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
) -> list[dict[str, Any]]:
    """Predict each case that `output_dir` has not yet, and record each attempt in its manifest.

    A case that fails is recorded with its code and the rest go on. A case is done when its record is of the
    same input, weights and metadata and the file it names has the hash recorded there; a rerun skips it.

    Returns
    -------
    list of dict
        One manifest record a case, in the order of `cases`.
    """
    output_dir = Path(output_dir)
    output_dir.mkdir(parents=True, exist_ok=True)
    meta = read_metadata(bundle)
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
    }
    done = _done(output_dir, made_by)
    records = []
    for case in tqdm(cases, unit="case", desc="predicting", disable=not sys.stderr.isatty()):
        record = done.get(case["id"])
        if record is None or record["inputs"] != [case["image"]]:
            record = {**_attempt(case, output_dir, pipeline), "bundle": made_by}
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
    timings_s: dict[str, float] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the label map (I, J, K), uint8, of one case on its own grid, and that grid's RAS+ affine."""
    timings_s = {} if timings_s is None else timings_s
    device = next(network.parameters()).device
    with _timed(timings_s, "preprocess"):
        data = preprocessing({IMAGE: case["image"]})
    with _timed(timings_s, "infer"), torch.inference_mode():
        data[PRED] = inferer(data[IMAGE][None].to(device), network)[0].cpu()
    with _timed(timings_s, "postprocess"):
        labels = postprocessing(data)[PRED][0].numpy()
    return labels, np.asarray(data[IMAGE].meta["original_affine"], dtype=np.float64)


def _attempt(case: Case, output_dir: Path, pipeline: Mapping[str, Any]) -> dict[str, Any]:
    started = datetime.now(timezone.utc).isoformat(timespec="seconds")
    timings_s: dict[str, float] = {}
    record: dict[str, Any] = {"case": case["id"], "status": "failed", "codes": [], "message": ""}
    record |= {"inputs": [case["image"]], "outputs": [], "timings_s": timings_s, "started": started}
    try:
        labels, affine = predict_case(case, timings_s=timings_s, **pipeline)
        with _timed(timings_s, "write"):
            path = output_dir / f"{case['id']}.nii.gz"
            write_label_map(path, labels, affine, like=Path(case["image"]) if is_nifti(case["image"]) else None)
        record["status"] = "done"
        record["outputs"] = [{"path": path.name, "sha256": sha256_of(path)}]
    except Exception as error:  # one bad case must not end the others'
        found = cause_of(error)
        if not isinstance(found, InputError):
            found = InputError("CASE_FAILED", f"{type(error).__name__}: {error}")
        record["codes"], record["message"] = [found.code], str(found.args[0])
        log.warning("%s: %s", case["id"], found)
    record["peak_rss_mib"] = _peak_rss_mib()
    record["medseg"] = _version()
    return record


def _done(output_dir: Path, made_by: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """Return the newest record of each case whose output is there, whole, and made by this model."""
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
    return {name: record for name, record in newest.items() if _is_done(record, output_dir, made_by)}


def _is_done(record: Mapping[str, Any], output_dir: Path, made_by: Mapping[str, str]) -> bool:
    if record["status"] != "done" or record["bundle"] != made_by:
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
