"""One case end to end, `prepare`, `segment`, `write_results`; and many, through `medseg.batch`."""

from __future__ import annotations

import json
import logging
import pickle
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from medseg.bundle import read_metadata
from medseg.cases import Case
from medseg.errors import CasesFailed, InputError
from medseg.manifest import (
    MANIFEST,
    Record,
    append,
    begin,
    failures_in,
    finished,
    make_ready,
    share,
    wanted,
)
from medseg.outputs import announce, check_outputs, recorded
from medseg.read import Volume, read_volume
from medseg.results import check_volume, write_results

if TYPE_CHECKING:  # processes that only read import no more than they need
    import torch
    from monai.inferers import Inferer
    from monai.transforms import Compose

    from medseg.batch import Read

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
        ``"i/n"``: this share of the cases alone, see `medseg.manifest.share`.
    read_timeout_s
        Where processes read, how long one may take for a case before it is ended; a thread cannot be.
    budget_mib
        How large this process may grow; 0 for what is free, less a tenth. See `medseg.segmentation`.
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
    from medseg import __version__, batch
    from medseg.memory import twice

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
                outputs = twice(write, case["id"], labels, prepared.volume, probabilities=prepared.probabilities)
                codes = [*prepared.volume.codes, *record["codes"]]
                record |= {"status": "done", "codes": codes, "outputs": outputs}
        record |= {"peak_rss_mib": _peak_rss_mib(), "medseg": __version__}
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
    from medseg.batch import read_ahead

    if jobs == 1:
        return read_ahead(cases, read)
    import torch

    from medseg.readers import read_in_processes

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
    record, prepared = begin(case), None
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


@dataclass
class Prepared:
    """A case that was read and preprocessed.

    Attributes
    ----------
    volume
        As it was read; in a batch its voxels are dropped (`without_voxels`).
    data
        What preprocessing gave: ``image`` (1, I, J, K) on the network's grid. None if that is still to be done.
    probabilities
        Crops and the affine of the grid they are on, see `medseg.confidence`; None if they were not asked for.
    """

    volume: Volume
    data: dict[Any, Any] | None
    probabilities: tuple[dict, np.ndarray] | None = None


def prepare(
    case: Case,
    *,
    preprocessing: Compose | None,
    check: Callable[[Volume], None] | None = None,
    select: Mapping[str, str] | None = None,
    timings_s: dict[str, float] | None = None,
) -> Prepared:
    """Read, check and preprocess a case; `check` may refuse its volume before anything slow is done with it."""
    from medseg.memory import twice

    timings_s = {} if timings_s is None else timings_s
    with _timed(timings_s, "read"):
        volume = twice(read_volume, case["image"], **(select or {}))
    if check is not None:
        check(volume)
    return Prepared(volume, None if preprocessing is None else preprocess(volume, preprocessing, timings_s))


def preprocess(
    volume: Volume, preprocessing: Compose, timings_s: dict[str, float] | None = None
) -> dict[Any, Any]:
    """Return what `preprocessing` makes of a volume: ``image`` (1, I, J, K) on the network's grid."""
    from medseg.memory import twice
    from medseg.preprocess import IMAGE

    with _timed({} if timings_s is None else timings_s, "preprocess"):
        return twice(preprocessing, {IMAGE: volume})


def segment(
    prepared: Prepared,
    *,
    network: torch.nn.Module,
    inferer: Inferer,
    postprocessing: Compose,
    budget_mib: float = 0,
    keep_probabilities: bool = False,
    timings_s: dict[str, float] | None = None,
) -> tuple[np.ndarray, dict[str, Any]]:
    """Return a prepared case's label map (I, J, K) on its own grid, and facts for its record.

    An inferer that gives slabs goes by `medseg.segmentation.label_image`; any other of MONAI's, or a
    postprocessing of one's own, by the whole tensor of scores.
    """
    import torch

    from medseg.memory import twice
    from medseg.postprocess import PRED, ToNativeLabelsd, count_components
    from medseg.preprocess import IMAGE
    from medseg.segmentation import label_image

    assert prepared.data is not None
    timings_s = {} if timings_s is None else timings_s
    data, device = prepared.data, next(network.parameters()).device
    first, *others = postprocessing.transforms
    if not hasattr(inferer, "slabs") or not isinstance(first, ToNativeLabelsd):
        with _timed(timings_s, "infer"), torch.inference_mode():
            data[PRED] = inferer(data[IMAGE][None].to(device), network)[0].cpu()
        with _timed(timings_s, "postprocess"):
            return postprocessing(data)[PRED][0].numpy(), {}
    with _timed(timings_s, "infer"):
        labels, confidence, facts = label_image(
            data[IMAGE],
            network,
            inferer,
            device=device,
            budget_mib=budget_mib,
            keep_probabilities=keep_probabilities,
        )
    with _timed(timings_s, "postprocess"):
        facts["confidence"] = confidence.facts()
        for label, count in twice(count_components, labels).items():
            facts["confidence"].setdefault(str(label), {})["components"] = count
        if others:
            data[PRED] = torch.from_numpy(labels)[None]
            for transform in others:
                data = twice(transform, data)
            labels = data[PRED][0].numpy()
    if keep_probabilities:
        prepared.probabilities = (confidence.crops(), np.asarray(data[IMAGE].affine))
    return labels, facts


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
    """Return the label map (I, J, K), uint8, of one case on its own grid, and the volume it is of."""
    timings_s = {} if timings_s is None else timings_s
    prepared = prepare(case, preprocessing=preprocessing, check=check, select=select, timings_s=timings_s)
    how = {"network": network, "inferer": inferer, "postprocessing": postprocessing}
    labels, _ = segment(prepared, timings_s=timings_s, **how)
    return labels, prepared.volume


def without_voxels(volume: Volume) -> Volume:
    """Return `volume` with zeros that take no memory: results need its shape, grid and source alone."""
    return replace(volume, array=np.broadcast_to(volume.array.dtype.type(0), volume.array.shape))


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
