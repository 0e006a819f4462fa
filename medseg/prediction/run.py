"""Many cases: what is not done yet is predicted, and each attempt recorded."""

from __future__ import annotations

import json
import logging
import pickle
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from copy import deepcopy
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from medseg.bundle import read_metadata
from medseg.cases import Case
from medseg.errors import CasesFailed, InputError
from medseg.prediction.manifest import (
    MANIFEST,
    Record,
    append,
    begun,
    failures_in,
    finished,
    make_ready,
    share,
    wanted,
)
from medseg.prediction.outputs import announce, check_outputs, recorded
from medseg.write import check_volume, write_results

if TYPE_CHECKING:  # processes that only read import no more than they need
    import torch
    from monai.inferers import Inferer
    from monai.transforms import Compose

    from medseg.prediction.batch import Read

from medseg.prediction.case import Prepared, _timed, prepare, preprocess, segment, without_voxels

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
    weights: str | Path | Sequence[str | Path],
    formats: str | Sequence[str] = ("nifti",),
    seg_type: str = "BINARY",
    select: Mapping[str, str] | None = None,
    jobs: int = 1,
    shard: str = "",
    read_timeout_s: float = 600,
    budget_mib: float = 0,
    mirror_axes: Sequence[int] = (),
) -> list[Record]:
    """Predict each case that `output_dir` has not yet, and record each attempt in its manifest.

    A case that fails is recorded with its code and the rest go on. A case is done when its record is of the
    same input, selection, weights and metadata, has every format asked for, and the files it names have the hashes
    recorded there; a rerun skips it.

    Parameters
    ----------
    formats
        Some of ``"nifti"``, ``"dicom-seg"``, ``"rtstruct"`` and ``"probabilities"``.
    seg_type
        Of the DICOM SEG: ``"BINARY"`` or ``"LABELMAP"``.
    select
        Which volume is meant where a case's folder holds several, see `medseg.read_volume`.
    jobs
        Processes that read and preprocess; with 1 a thread does it, and there is no process but this.
    shard
        ``"i/n"``: this share of the cases alone, see `medseg.prediction.manifest.share`.
    read_timeout_s
        Where processes read, how long one may take for a case before it is ended; a thread cannot be.
    budget_mib
        How large this process may grow; 0 for what is free, less a tenth. See `medseg.infer.segmentation`.
    mirror_axes
        Along which `network` mirrors, for the record.

    Returns
    -------
    list of dict
        One manifest record a case of the shard, in the order of `cases`.

    Raises
    ------
    InputError
        `CONFIG_BAD_VALUE`, `CASES_DUPLICATE_ID`, `OUTPUT_NO_SPACE`, `OUTPUT_UNWRITABLE`,
        `OUTPUT_WOULD_OVERWRITE`: nothing was started.
    CasesFailed
        The manifest can no longer be appended to.
    KeyboardInterrupt, SystemExit
        Ctrl-C and SIGTERM: the case being written was finished, the one being segmented dropped.
    """
    from medseg.infer import retry_if_out_of_memory
    from medseg.prediction import batch

    meta = read_metadata(bundle)
    how_made = {"formats": formats, "seg_type": seg_type, "select": select, "mirror_axes": mirror_axes}
    want = wanted(bundle, meta, weights, **how_made)  # type: ignore[arg-type]
    if int(jobs) < 1 or not read_timeout_s > 0:
        raise InputError(
            "CONFIG_BAD_VALUE", f"jobs {jobs}, read_timeout_s {read_timeout_s}: 1 or more, and above 0"
        )
    check_outputs(cases, output_dir, want["formats"])
    cases = share(cases, shard)
    done = finished(cases, output_dir, want)
    left = [case for case in cases if case["id"] not in done]
    for name in done:  # a run may have been killed right after it recorded a case
        recorded(output_dir, name)
    check = partial(check_volume, spatial_dims=meta["medseg"]["network"]["spatial_dims"], formats=want["formats"])
    write = partial(write_results, output_dir, metadata=meta, formats=want["formats"], seg_type=seg_type)

    def finish(case: Case, record: Record, prepared: Prepared | None, labels: np.ndarray | None) -> None:
        if prepared is not None and labels is not None:
            with failures_in(record), _timed(record["timings_s"], "write"):
                announce(output_dir, case["id"])
                outputs = retry_if_out_of_memory(
                    write, case["id"], labels, prepared.volume, probabilities=prepared.probabilities
                )
                codes = [*prepared.volume.codes, *record["codes"]]
                record |= {"status": "done", "codes": codes, "outputs": outputs}
        record |= {"peak_rss_mib": _peak_rss_mib(), "medseg": version("medseg")}
        record |= {"bundle": want["bundle"], "select": want["select"]}
        append(output_dir, record)
        if record["status"] == "done":
            recorded(output_dir, case["id"])
        done[case["id"]] = record

    if left:
        make_ready(output_dir)
        read = partial(_read, preprocessing=preprocessing, check=check, select=want["select"])
        models = _on_every_device(network, inferer, postprocessing, device)[: len(left)]
        how: dict[str, Any] = {"budget_mib": budget_mib, "keep_probabilities": "probabilities" in want["formats"]}
        segments = [partial(_segment, preprocessing=preprocessing, **how, **model) for model in models]
        with batch.stopped_by_sigterm(), closing(_source(left, read, int(jobs), read_timeout_s)) as source:
            batch.run(source, segments, finish, total=len(left))
    records = [done[case["id"]] for case in cases]
    good = sum(record["status"] == "done" for record in records)
    log.info("%d of %d cases done, in %s", good, len(records), output_dir)
    return records


def _source(cases: Sequence[Case], read: Callable, jobs: int, timeout_s: float) -> Generator[Read, None, None]:
    """Return what reads ahead: a thread, or `jobs` processes, which can be ended where a thread cannot."""
    from medseg.prediction.batch import read_ahead

    if jobs == 1:
        return read_ahead(cases, read)
    import torch

    from medseg.prediction.reader_processes import read_in_processes

    try:
        pickle.dumps(read)
    except Exception:  # a function without a name in it; reading is what crashes, and goes
        read = partial(read, preprocessing=None)
    threads = max(1, torch.get_num_threads() // jobs)
    return read_in_processes(cases, read, processes=jobs, timeout_s=timeout_s, threads=threads)


def _on_every_device(
    network: torch.nn.Module, inferer: Inferer, postprocessing: Compose, device: str | torch.device
) -> list[dict[str, Any]]:
    """Return the model on the device that is asked for; for ``auto`` on each of several GPUs."""
    import torch

    from medseg.infer import choose_device

    devices = [choose_device(device)]
    if str(device) == "auto" and devices[0].type == "cuda":
        devices = [torch.device("cuda", n) for n in range(torch.cuda.device_count())]
    parts = (network, inferer, postprocessing)
    copies = [parts, *(deepcopy(parts) for _ in devices[1:])]
    return [
        {"network": copy[0].to(to).eval(), "inferer": copy[1], "postprocessing": copy[2]}
        for copy, to in zip(copies, devices, strict=True)
    ]


def _read(case: Case, *, preprocessing: Compose | None, **how: Any) -> tuple[Record, Prepared | None]:
    record, prepared = begun(case), None
    with failures_in(record):
        prepared = prepare(case, preprocessing=preprocessing, timings_s=record["timings_s"], **how)
        if prepared.data is not None:
            prepared.volume = without_voxels(prepared.volume)
    return record, prepared


def _segment(record: Record, prepared: Prepared, *, preprocessing: Compose, **model: Any) -> np.ndarray | None:
    timings_s = record["timings_s"]
    with failures_in(record):
        if prepared.data is None:  # by a process that could not be sent the preprocessing
            prepared.data = preprocess(prepared.volume, preprocessing, timings_s)
            prepared.volume = without_voxels(prepared.volume)
        labels, facts = segment(prepared, timings_s=timings_s, **model)
        record |= json.loads(json.dumps(facts, allow_nan=False))  # what cannot be recorded fails its case alone
        prepared.data = None  # its memory is free while the labels are written
        return labels
    return None


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
