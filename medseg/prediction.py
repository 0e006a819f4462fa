"""One case end to end, `prepare`, `segment`, `write_results`; and many, through `medseg.batch`."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from traceback import walk_tb
from typing import TYPE_CHECKING, Any

import numpy as np

from medseg.bundle import read_metadata
from medseg.cases import Case
from medseg.errors import CasesFailed, InputError, cause_of
from medseg.manifest import MANIFEST, Record, append, finished, make_ready, share, wanted
from medseg.read import Volume, read_volume
from medseg.results import check_volume, write_results

if TYPE_CHECKING:  # processes that only read import no more than they need
    import torch
    from monai.inferers import Inferer
    from monai.transforms import Compose

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
) -> list[Record]:
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
    from medseg.infer import choose_device

    meta = read_metadata(bundle)
    want = wanted(bundle, meta, weights, formats=formats, seg_type=seg_type, select=select)
    cases = share(cases, "")
    done = finished(cases, output_dir, want)
    left = [case for case in cases if case["id"] not in done]
    if left:
        make_ready(output_dir)
    spatial_dims = meta["medseg"]["network"]["spatial_dims"]
    check = partial(check_volume, spatial_dims=spatial_dims, formats=want["formats"])
    network = network.to(choose_device(device)).eval()
    for case in left:
        record = begin(case)
        with failures_in(record):
            prepared = prepare(
                case,
                preprocessing=preprocessing,
                check=check,
                select=want["select"],
                timings_s=record["timings_s"],
            )
            labels, facts = segment(
                prepared,
                network=network,
                inferer=inferer,
                postprocessing=postprocessing,
                timings_s=record["timings_s"],
            )
            with _timed(record["timings_s"], "write"):
                outputs = write_results(
                    output_dir,
                    case["id"],
                    labels,
                    prepared.volume,
                    metadata=meta,
                    formats=want["formats"],
                    seg_type=seg_type,
                )
            record |= {"status": "done", "codes": list(prepared.volume.codes), "outputs": outputs, **facts}
        from medseg import __version__

        record |= {"peak_rss_mib": _peak_rss_mib(), "medseg": __version__}
        record |= {"bundle": want["bundle"], "select": want["select"]}
        append(output_dir, record)
        done[case["id"]] = record
    return [done[case["id"]] for case in cases]


@dataclass
class Prepared:
    """A case that was read and preprocessed.

    Attributes
    ----------
    volume
        As it was read; in a batch its voxels are dropped (`without_voxels`).
    data
        What preprocessing gave: ``image`` (1, I, J, K) on the network's grid. None if that is still to be done.
    """

    volume: Volume
    data: dict[Any, Any] | None


def prepare(
    case: Case,
    *,
    preprocessing: Compose | None,
    check: Callable[[Volume], None] | None = None,
    select: Mapping[str, str] | None = None,
    timings_s: dict[str, float] | None = None,
) -> Prepared:
    """Read, check and preprocess a case; `check` may refuse its volume before anything slow is done with it."""
    timings_s = {} if timings_s is None else timings_s
    with _timed(timings_s, "read"):
        volume = read_volume(case["image"], **(select or {}))
    if check is not None:
        check(volume)
    return Prepared(volume, None if preprocessing is None else _preprocess(volume, preprocessing, timings_s))


def _preprocess(volume: Volume, preprocessing: Compose, timings_s: dict[str, float]) -> dict[Any, Any]:
    from medseg.preprocess import IMAGE

    with _timed(timings_s, "preprocess"):
        return preprocessing({IMAGE: volume})


def segment(
    prepared: Prepared,
    *,
    network: torch.nn.Module,
    inferer: Inferer,
    postprocessing: Compose,
    timings_s: dict[str, float] | None = None,
) -> tuple[np.ndarray, dict[str, Any]]:
    """Return a prepared case's label map (I, J, K), uint8, on its own grid, and facts for its record."""
    import torch

    from medseg.postprocess import PRED
    from medseg.preprocess import IMAGE

    assert prepared.data is not None
    timings_s = {} if timings_s is None else timings_s
    data, device = prepared.data, next(network.parameters()).device
    with _timed(timings_s, "infer"), torch.inference_mode():
        data[PRED] = inferer(data[IMAGE][None].to(device), network)[0].cpu()
    with _timed(timings_s, "postprocess"):
        labels = postprocessing(data)[PRED][0].numpy()
    return labels, {}


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


def begin(case: Case) -> Record:
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
    """Return the first error's type and where it was raised; its text may quote a patient's name."""
    places: list[str] = []
    cause: BaseException | None = error
    while cause is not None:  # from the outermost call of ours to the one that raised
        error = cause
        places += [f"{frame.f_globals['__name__']}:{line}" for frame, line in walk_tb(error.__traceback__)]
        cause = error.__cause__ or error.__context__
    ours = [place for place in places if place.startswith("medseg.")]
    return f"{type(error).__name__} at {', called from '.join(dict.fromkeys([places[-1], *ours[-1:]]))}"


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
