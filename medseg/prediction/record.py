"""One attempt at a case, as a line of the manifest holds it, and how each of its stages is timed and recorded."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import datetime, timezone
from traceback import walk_tb
from typing import Any, TypeVar

from medseg.cases import Case, images_of
from medseg.errors import InputError, cause_of, causes_of
from medseg.prediction.inputs import InputState
from medseg.prediction.origin import same_model
from medseg.write import Output

T = TypeVar("T")
log = logging.getLogger(__name__)
LISTS = ("inputs", "outputs", "codes")
# They call what they are given, and are where nothing goes wrong
CALLERS = ("medseg.infer.out_of_memory:", "medseg.prediction.inputs:")


@dataclass(frozen=True)
class Record:
    """One attempt at a case.

    Attributes
    ----------
    case
        Its id.
    status
        ``"done"`` or ``"failed"``.
    codes
        What was tolerated, or why it failed.
    message
        The failure in words, without anything of a patient's.
    inputs
        The paths that were read, one a channel where they are several.
    input
        What was there when it was read; empty where it was not.
    outputs
        The files written.
    timings_s
        Seconds of each stage.
    started
        When, in UTC (ISO 8601).
    facts
        ``memory``, ``confidence`` and ``repair``, and what other versions of medseg recorded.
    peak_rss_mib
        The process's largest size so far.
    medseg
        The version that made it.
    bundle, select
        The model (`Origin.as_json`); which volume of the input was meant and what might be repaired in it
        (`Selection.as_json`).
    """

    case: str
    status: str = "failed"
    codes: Sequence[str] = ()
    message: str = ""
    inputs: Sequence[str] = ()
    input: InputState = field(default_factory=InputState)
    outputs: Sequence[Output] = ()
    timings_s: Mapping[str, float] = field(default_factory=dict)
    started: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
    peak_rss_mib: int = 0
    medseg: str = ""
    bundle: Mapping[str, Any] = field(default_factory=dict)
    select: Mapping[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Return the manifest's object, in the order of the fields."""
        plain: dict[str, Any] = {}
        for name in (each.name for each in fields(self)):
            value = getattr(self, name)
            if name == "facts":
                plain |= value
            elif name == "outputs":
                plain[name] = [output.as_json() for output in value]
            elif name == "input":
                plain[name] = value.as_json()
            else:
                plain[name] = list(value) if isinstance(value, (tuple, list)) else value
        return plain

    @classmethod
    def from_json(cls, value: Any) -> Record | None:
        """Return a manifest's object as a record; None for what no version of medseg wrote."""
        if not isinstance(value, dict) or not isinstance(value.get("case"), str):
            return None
        own = {each.name for each in fields(cls)} - {"facts", "inputs", "outputs", "codes"}
        known = {key: item for key, item in value.items() if key in own}
        facts = {key: item for key, item in value.items() if key not in own and key not in LISTS}
        inputs, codes = (tuple(map(str, _listed(value, key))) for key in ("inputs", "codes"))
        outputs = tuple(filter(None, map(Output.from_json, _listed(value, "outputs"))))
        known["input"] = InputState.from_json(value.get("input"))
        return cls(**known, inputs=inputs, codes=codes, outputs=outputs, facts=facts)

    def same_labels(self, other: Record) -> bool:
        """Say whether two records are of one input, model and selection, and so of the same labels."""
        known = bool(self.input.sha256) and self.input.sha256 == other.input.sha256
        return known and same_model(self.bundle, other.bundle) and self.select == other.select

    def failed(self, error: Exception) -> Record:
        """Return the record with what went wrong; nothing raises in here."""
        found = cause_of(error)
        if not isinstance(found, InputError):
            found = InputError("CASE_FAILED", _what_and_where(error))
        return replace(self, status="failed", codes=(found.code,), message=str(found.args[0]))


def _listed(value: Mapping[str, Any], key: str) -> list[Any]:
    return value[key] if isinstance(value.get(key), list) else []


def begun(case: Case) -> Record:
    """Return the record of an attempt that begins now; its status is failed until it is done."""
    started = datetime.now(timezone.utc).isoformat(timespec="seconds")
    return Record(case["id"], inputs=tuple(images_of(case)), started=started)


def attempt(
    record: Record, stage: str, function: Callable[..., T], *args: Any, **kwargs: Any
) -> tuple[Record, T | None]:
    """Run one stage of a case, so that what goes wrong in it is recorded and ends no other case.

    Returns
    -------
    record
        With the stage's time; failed if it raised.
    result
        What `function` returned; None if it raised.
    """
    result: T | None = None
    start_s = time.perf_counter()
    try:
        result = function(*args, **kwargs)
    except Exception as error:
        record = record.failed(error)
    timings_s = {**record.timings_s, stage: round(time.perf_counter() - start_s, 3)}
    return replace(record, timings_s=timings_s), result


def log_case(record: Record, number: int, total: int) -> None:
    """Log a case that ended: the number of total, its id, how it ended, seconds and codes."""
    seconds = sum(record.timings_s.values())
    log.info(
        "%d of %d %s %s %.1f s %s", number, total, record.case, record.status, seconds, " ".join(record.codes)
    )


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
    ours = [place for place in places if place.startswith("medseg.") and not place.startswith(CALLERS)]
    where = ", called from ".join(dict.fromkeys([*places[-1:], *ours[-1:]]))
    return f"{type(causes[-1]).__name__} at {where or 'an unknown place'}"
