"""Many cases: what is not done yet is predicted, and each attempt recorded."""

from __future__ import annotations

import logging
import pickle
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medseg.cases import Case, check_case_ids
from medseg.errors import CasesFailed, InputError
from medseg.files import sweep
from medseg.prediction import batch
from medseg.prediction.case import Labelled, Pipeline, Prepared, Reading, read_and_preprocess, segmenter
from medseg.prediction.claims import Claims, sweep_marks
from medseg.prediction.finished import Wanted, finished, settles
from medseg.prediction.manifest import MANIFEST, Records, append, make_ready
from medseg.prediction.origin import Origin
from medseg.prediction.outputs import any_result, check_outputs, keep_changed, keep_stale
from medseg.prediction.record import Record, attempt, log_case
from medseg.prediction.resources import Resources
from medseg.prediction.shards import share
from medseg.read import UNLIKE_TRAINING, Selection, in_words
from medseg.write import Output, OutputFormats, check_seg_type, write_results

if TYPE_CHECKING:
    import torch

log = logging.getLogger(__name__)


def predict_cases(
    cases: Sequence[Case],
    output_dir: str | Path,
    *,
    pipeline: Pipeline,
    origin: Origin,
    selection: Selection | None = None,
    formats: OutputFormats | None = None,
    resources: Resources | None = None,
    shard: str = "",
) -> list[dict[str, Any]]:
    """Predict each case that `output_dir` does not hold yet, and record each attempt in its manifest.

    A case that fails is recorded with its code and the rest go on. A case is done when its record is of the same
    input by content, selection and origin, has every format asked for, and the files it names have the hashes
    recorded there; a rerun skips it. Any number of processes may be given the same call: each case is taken by one
    of them, and all return the records of all.

    Parameters
    ----------
    pipeline
        The model, on its device.
    origin
        What the model is, for the record.
    selection
        Which volume is meant where a case's folder holds several, and what may be repaired in it.
    formats
        What is written; NIfTI alone by default.
    resources
        What may be used of the machine.
    shard
        ``"i/n"``: this share of the cases alone, see `medseg.prediction.shards`.

    Returns
    -------
    list of dict
        One manifest record a case of the shard, in the order of `cases`.

    Raises
    ------
    InputError
        `CONFIG_BAD_VALUE`, `CASES_BAD_ID`, `CASES_DUPLICATE_ID`, `OUTPUT_NO_SPACE`, `OUTPUT_UNWRITABLE`,
        `OUTPUT_WOULD_OVERWRITE`: nothing was started.
    CasesFailed
        The manifest can no longer be appended to.
    KeyboardInterrupt, SystemExit
        Ctrl-C and SIGTERM: the case being written was finished, the one being segmented dropped.
    """
    selection, formats, resources = selection or Selection(), formats or OutputFormats(), resources or Resources()
    if "dicom-seg" in formats.names:
        check_seg_type(formats.seg_type, origin.metadata)
    check_case_ids(cases)
    check_outputs(cases, output_dir, formats.names)
    cases = share(cases, shard)
    wanted, new_records = Wanted(origin, selection, formats), Records(output_dir, new=True)
    done = finished(cases, output_dir, wanted)
    left = [case for case in cases if case["id"] not in done]
    if left:
        make_ready(output_dir)
        pipelines = _on_every_device(pipeline, resources.device)[: len(left)]
        if len(pipelines) > 1:  # now, so that no thread waits for the copy of another
            _fuse(pipelines)
        with Claims(output_dir, new_records, partial(settles, output_dir=output_dir, wanted=wanted)) as claims:
            folder = _Folder(Path(output_dir), Records(output_dir), claims, origin, selection, formats)
            done |= _predict(left, folder, pipelines, resources)
    sweep(output_dir)  # what another run left that was killed meanwhile
    sweep_marks(output_dir, {name for name, record in done.items() if record.status == "done"})
    records = [done[case["id"]].as_json() for case in cases]
    good = sum(record["status"] == "done" for record in records)
    log.info("%d of %d cases done, in %s", good, len(records), output_dir)
    return records


@dataclass(frozen=True)
class _Folder:
    """Where results go and what is recorded there, which cases are in hand, and what results are of."""

    path: Path
    records: Records
    claims: Claims
    origin: Origin
    selection: Selection
    formats: OutputFormats


def _predict(
    left: Sequence[Case], folder: _Folder, pipelines: Sequence[Pipeline], resources: Resources
) -> dict[str, Record]:
    """Predict the cases that no other process has in hand or does meanwhile; return the records of all."""
    done: dict[str, Record] = {}

    def finish(case: Case, record: Record, prepared: Prepared | None, found: tuple | None) -> None:
        record = _written(folder, found or (record, None), prepared)
        record = replace(record, peak_rss_mib=_peak_rss_mib(), medseg=version("medseg"))
        record = replace(record, bundle=folder.origin.as_json(), select=folder.selection.as_json())
        done[case["id"]] = record = _without_stale(folder, record)
        append(folder.path, record)
        unnamed = record.status != "done" and any_result(folder.path, case["id"], folder.formats.names)
        folder.claims.release(case["id"], keep_mark=unnamed)
        log_case(record, len(done) + len(folder.claims.settled), len(left))

    formats = folder.formats.names
    metadata, first = folder.origin.metadata, pipelines[0]
    reading = Reading(
        folder.selection,
        metadata.spatial_dims,
        formats,
        first.preprocessing,
        first.training_images,
        metadata.network_channels,
    )
    segments = [segmenter(each, resources.budget_mib, "probabilities" in formats) for each in pipelines]
    source = _source(folder.claims.take(left), reading, resources)
    with batch.stopped_by_sigterm(), closing(source):
        batch.run(source, segments, finish, total=len(left))
    return done | folder.claims.settled


def _without_stale(folder: _Folder, record: Record) -> Record:
    """Return a case's record after its earlier results, which are not its own any more, were moved away."""
    try:
        kept = keep_stale(folder.path, record, folder.records.of(record.case))
    except InputError as error:
        return record.failed(error)
    return replace(record, codes=tuple(dict.fromkeys((*record.codes, *kept))))


def _source(
    cases: Iterator[Case | None], reading: Reading, resources: Resources
) -> Generator[batch.Read, None, None]:
    """Return what reads ahead: a thread, or processes, which can be ended where a thread cannot."""
    jobs = int(resources.jobs)
    if jobs == 1:
        return batch.read_ahead(cases, partial(read_and_preprocess, reading=reading))
    import torch

    from medseg.prediction.reader_processes import read_in_processes

    try:
        pickle.dumps(reading)
    except Exception:  # a function without a name in it; reading is what crashes, and goes
        reading = replace(reading, preprocessing=None)
    read: Callable = partial(read_and_preprocess, reading=reading)
    threads = max(1, torch.get_num_threads() // jobs)
    return read_in_processes(cases, read, processes=jobs, timeout_s=resources.read_timeout_s, threads=threads)


def _on_every_device(pipeline: Pipeline, device: str | torch.device) -> list[Pipeline]:
    """Return the model on the device that is asked for; for ``auto`` on each of several GPUs."""
    import torch

    from medseg.infer import choose_device

    devices = [choose_device(device)]
    if str(device) == "auto" and devices[0].type == "cuda":
        devices = [torch.device("cuda", n) for n in range(torch.cuda.device_count())]
    copies = [pipeline, *(_copied(pipeline) for _ in devices[1:])]
    return [replace(copy, network=copy.network.to(to).eval()) for copy, to in zip(copies, devices, strict=True)]


def _fuse(pipelines: Sequence[Pipeline]) -> None:
    for each in pipelines:
        if hasattr(each.inferer, "fuse"):
            with suppress(Exception):  # each case that it fails records it
                each.inferer.fuse(each.network)


def _copied(pipeline: Pipeline) -> Pipeline:
    parts = (pipeline.network, pipeline.inferer, pipeline.postprocessing)
    network, inferer, postprocessing = deepcopy(parts)
    return replace(pipeline, network=network, inferer=inferer, postprocessing=postprocessing)


def _written(folder: _Folder, found: tuple[Record, Labelled | None], prepared: Prepared | None) -> Record:
    """Write a case's files where it has labels, and return its record."""
    from medseg.infer import retry_if_out_of_memory

    record, labelled = found
    if prepared is None or labelled is None:
        return record

    def write() -> tuple[tuple[Output, ...], tuple[str, ...]]:
        kept = keep_changed(folder.path, record.case, folder.formats.names, folder.records.of(record.case))
        with folder.claims.announcing(record.case):
            outputs = retry_if_out_of_memory(
                write_results,
                folder.path / record.case,
                labelled.labels,
                prepared.volume,
                metadata=folder.origin.metadata,
                formats=folder.formats,
                probabilities=labelled.probabilities,
            )
        return outputs, kept

    after, written = attempt(record, "write", write)
    if written is None:
        return after
    outputs, kept = written
    codes = (*prepared.volume.codes, *labelled.codes, *kept)
    if UNLIKE_TRAINING in codes:
        log.warning("%s: %s: %s", record.case, UNLIKE_TRAINING, in_words(record.facts["unlike_training"]))
    repair = {"repair": prepared.volume.repair.facts} if prepared.volume.repair else {}
    facts = {**record.facts, **(labelled.facts or {}), **repair}
    return replace(after, status="done", codes=codes, outputs=outputs, facts=facts)


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
