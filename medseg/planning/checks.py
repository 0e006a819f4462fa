"""A data set checked before anything is planned: every fault is named at once, one a line."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from tqdm import tqdm

from medseg.cases import Case, Described, check_case_ids, images_of, list_cases, patient_of
from medseg.errors import InputError, some
from medseg.planning.case_facts import CaseFacts, digest_of, read_case, read_channels

THREADS = 2  # each holds one case, so that memory does not grow with the data set
Result = TypeVar("Result")


@dataclass(frozen=True)
class Found:
    """The labelled cases of a data set, what each is like, and the cases without labels beside them."""

    cases: Sequence[Case]
    facts: Sequence[CaseFacts]
    labels: Mapping[int, str]


def read_data_set(path: str | Path, described: Described, *, allow_empty: bool = False) -> Found:
    """Read every case once and refuse a data set with faults, all of them in one message.

    Parameters
    ----------
    path
        As for `medseg.cases.find_cases`.
    described
        Its labels are those that may be there; without any, all ids that are found.
    allow_empty
        Take cases without a label, and labels without a case.

    Raises
    ------
    InputError
        `CASES_FAULTY`, one fault a line, each with its own code; or what finding the cases refuses.
    """
    every = list_cases(path, whole=False)
    cases = list_cases(path, labelled=True, whole=False)
    if not cases:
        raise InputError("CASES_EMPTY", f"{path} holds no labelled case; see docs/how-to/data.md for the layouts")
    faults, whole = _names_and_files(cases)
    read = _in_threads(lambda case: read_case(case, described.ignore_label), whole)
    faults += [result for result in read if isinstance(result, InputError)]
    pairs = [(case, fact) for case, fact in zip(whole, read, strict=True) if isinstance(fact, CaseFacts)]
    named = dict(described.labels) or _found(pairs, described.ignore_label)
    known = {*named, *([described.ignore_label] if described.ignore_label is not None else [])}
    faults += _labels(pairs, named, known, allow_empty)
    if not described.regions and sorted(named) != list(range(1, len(named) + 1)):
        text = f"labels {some(sorted(named))} are not 1 to {len(named)}; number them so, in dataset.json and files"
        faults.append(InputError("LABEL_NOT_CONSECUTIVE", text))
    faults += _channels(pairs, len(described.channels))
    ids = {case["id"] for case in cases}
    faults += _parts(cases, [case for case in every if case["id"] not in ids], pairs)
    if faults:
        lines = "".join(f"\n  {fault}" for fault in faults)
        raise InputError("CASES_FAULTY", f"{path}, {len(faults)} faults; nothing was written:{lines}")
    return Found([case for case, _ in pairs], [fact for _, fact in pairs], named)


def _names_and_files(cases: Sequence[Case]) -> tuple[list[InputError], list[Case]]:
    """Return what is wrong with names and files, and the cases that can be read."""
    faults, whole = [], []
    try:
        check_case_ids(cases)
    except InputError as error:
        faults.append(error)
    for case in cases:
        gone = [path for path in images_of(case) if not Path(path).exists()]
        if gone:
            faults.append(InputError("FILE_MISSING", f"{case['id']}: {some(gone)}; add it or take the case out"))
        label = case.get("label", "")
        if not Path(label).is_file():
            what = f"its label {label} is not there" if label else "it has no label"
            faults.append(InputError("CASES_MISSING_LABEL", f"{case['id']}: {what}; add it or take the case out"))
        elif not gone:
            whole.append(case)
    return faults, whole


def _labels(
    pairs: Sequence[tuple[Case, CaseFacts]], named: Mapping[int, str], known: set[int], allow_empty: bool
) -> list[InputError]:
    faults = []
    for case, fact in pairs:
        unknown = sorted(set(fact.labels) - known)
        if unknown:
            text = f"{case['id']} holds label {some(unknown)}; dataset.json knows {sorted(known)}: correct either"
            faults.append(InputError("LABEL_UNKNOWN_ID", text))
        elif not set(fact.labels) & set(named) and not allow_empty:
            text = f"{case['id']} has no labelled voxel; take it out, or allow_empty=True if that is right"
            faults.append(InputError("LABEL_EMPTY", text))
    there = {i for _, fact in pairs for i in fact.labels}
    for i in sorted(set(named) - there if not allow_empty and pairs else ()):
        text = f"no case holds label {i} ({named[i]}); take it out of dataset.json, or allow_empty=True"
        faults.append(InputError("LABEL_EMPTY", text))
    return faults


def _found(pairs: Sequence[tuple[Case, CaseFacts]], ignored: int | None) -> dict[int, str]:
    """Return names for the labels that are there, where nothing says what they are called."""
    return {i: f"label {i}" for i in sorted({i for _, fact in pairs for i in fact.labels} - {ignored})}


def _channels(pairs: Sequence[tuple[Case, CaseFacts]], wanted: int) -> list[InputError]:
    counts = [len(fact.intensities) for _, fact in pairs]
    usual = wanted or (max(set(counts), key=counts.count) if counts else 0)
    return [
        InputError(
            "CHANNELS_MISMATCH", f"{case['id']} has {count} channels, {usual} are needed; add or remove files"
        )
        for (case, _), count in zip(pairs, counts, strict=True)
        if count != usual
    ]


def _parts(
    cases: Sequence[Case], others: Sequence[Case], pairs: Sequence[tuple[Case, CaseFacts]]
) -> list[InputError]:
    """Return images that are there twice, and patients that are in training and test alike."""
    faults = []
    alike: dict[str, list[str]] = defaultdict(list)
    for case, fact in pairs:
        alike[fact.digest].append(case["id"])
    readable = [case for case in others if all(Path(path).exists() for path in images_of(case))]
    digests = _in_threads(lambda case: digest_of(read_channels(case)), readable)
    for case, digest in zip(readable, digests, strict=True):
        if isinstance(digest, str):
            alike[digest].append(f"{case['id']} (test)")
        else:
            faults.append(digest)
    for names in alike.values():
        if len(names) > 1:
            text = f"{some(names)} are the same image, voxel for voxel; keep one"
            faults.append(InputError("CASES_SAME_IMAGE", text))
    patients = {patient_of(case["id"]) for case in cases} & {patient_of(case["id"]) for case in others}
    for patient in sorted(patients):
        text = f"patient {patient} has cases in training and in test; move them all to one part"
        faults.append(InputError("CASES_PATIENT_IN_PARTS", text))
    return faults


def _in_threads(function: Callable[[Case], Result], cases: Sequence[Case]) -> list[Result | InputError]:
    def attempt(case: Case) -> Result | InputError:
        try:
            return function(case)
        except InputError as error:
            return error

    with ThreadPoolExecutor(THREADS) as pool:
        done = pool.map(attempt, cases)
        return list(tqdm(done, total=len(cases), desc="reading", unit="case", leave=False, disable=None))
