"""Many cases: while one is segmented, the next is read and the last is written.

What is done with a case comes from the caller, `medseg.prediction.predict_cases`. Memory stays bounded: one case
is read ahead (one a process, where `reader_processes` read), one is segmented and one written for each network.
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, wait
from contextlib import contextmanager
from queue import SimpleQueue
from typing import Any, TypeVar

from tqdm import tqdm

from medseg.cases import Case
from medseg.errors import CasesFailed, InputError
from medseg.prediction.record import Record

T = TypeVar("T")
Read = tuple[Case, Record, Any]  # a case, its record so far, and what was read; None where that failed
ASK_AGAIN_S = 0.2  # after all cases that are left were in other processes' hands
LEAVE_AFTER_S = 5.0  # how long an interrupted batch waits for a read in a thread, which cannot be ended


class Background:
    """A thread that does one thing after another.

    Unlike ``ThreadPoolExecutor``'s it does not keep the program from ending while a read hangs.
    """

    def __init__(self) -> None:
        self.tasks: SimpleQueue[tuple[Future, Callable, tuple] | None] = SimpleQueue()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def submit(self, function: Callable[..., T], *arguments: Any) -> Future[T]:
        future: Future[T] = Future()
        self.tasks.put((future, function, arguments))
        return future

    def close(self) -> None:
        """End the thread, which has to be gone before Python is: torch's C++ aborts where it is cut off."""
        self.tasks.put(None)
        self.thread.join(LEAVE_AFTER_S)

    def _run(self) -> None:
        while (task := self.tasks.get()) is not None:
            future, function, arguments = task
            try:
                future.set_result(function(*arguments))
            except BaseException as error:
                future.set_exception(error)
            del task, future, function, arguments  # a case's voxels go when the last who needs them is done


def read_ahead(
    cases: Iterable[Case | None], read: Callable[[Case], tuple[Record, Any]]
) -> Generator[Read, None, None]:
    """Give what `read` makes of each case, in order; a thread reads the next one meanwhile.

    Where `cases` gives None, there may be another later: it is asked again after `ASK_AGAIN_S`.
    """
    reader, stopped, coming_cases = Background(), threading.Event(), iter(cases)

    def read_next() -> Read | None:
        for case in coming_cases:
            if case is not None:
                return case, *read(case)
            if stopped.wait(ASK_AGAIN_S):
                break
        return None

    coming = reader.submit(read_next)
    try:
        while (found := coming.result()) is not None:
            coming = reader.submit(read_next)
            yield found
            del found
    finally:
        stopped.set()
        reader.close()


def run(
    source: Iterator[Read],
    segments: Sequence[Callable[[Record, Any], Any]],
    finish: Callable[[Case, Record, Any, Any], None],
    total: int,
) -> None:
    """Segment what `source` gives and have it finished in the background.

    Parameters
    ----------
    segments
        From a record and what was read to what `finish` takes, one for each network; several work at once, each in
        a thread.
    finish
        Writes what was found for a case, and its record; an error of its own ends the batch.

    Raises
    ------
    CasesFailed
        The manifest cannot be appended to.
    """
    with tqdm(total=total, unit="case", desc="predicting", disable=not sys.stderr.isatty()) as bar:

        def finish_one(*what: Any) -> None:
            finish(*what)
            bar.update()

        if len(segments) == 1:
            _consume(source, segments[0], finish_one)
            return
        shared = _Shared(source)
        threads = [Background() for _ in segments]
        futures = [
            thread.submit(_consume, shared, segment, finish_one)
            for thread, segment in zip(threads, segments, strict=True)
        ]
        try:
            for future in futures:
                future.result()
        finally:
            shared.ended = True
            wait(futures)  # each ends with the case it has in hand
            for thread in threads:
                thread.close()


def _consume(source: Iterable[Read], segment: Callable, finish: Callable) -> None:
    writer = Background()
    written: Future | None = None
    try:
        for case, record, prepared in source:
            labels = None if prepared is None else segment(record, prepared)
            if written is not None:
                written.result()
            written = writer.submit(finish, case, record, prepared, labels)
            del prepared, labels
        if written is not None:
            written.result()
    except InputError as error:  # not a case's, which is in its record: the manifest's
        raise CasesFailed(f"{error}; the batch was stopped. Run the same line again to go on") from error
    finally:
        if written is not None:
            wait([written])
        writer.close()


class _Shared:
    """An iterator that several threads may take from."""

    def __init__(self, source: Iterator[Read]) -> None:
        self.source, self.lock, self.ended = source, threading.Lock(), False

    def __iter__(self) -> _Shared:
        return self

    def __next__(self) -> Read:
        with self.lock:
            if self.ended:
                raise StopIteration
            try:
                return next(self.source)
            except BaseException:
                self.ended = True
                raise


@contextmanager
def stopped_by_sigterm() -> Iterator[None]:
    """Have SIGTERM end the block as Ctrl-C does, by an exception (``SystemExit(143)``), so that it can tidy up."""
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGTERM) not in (
        signal.SIG_DFL,
        signal.default_int_handler,
    ):
        yield
        return

    def leave(*_: Any) -> None:
        sys.exit(128 + signal.SIGTERM)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
