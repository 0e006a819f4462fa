"""Feeds damaged files to `medseg.read`: each must give volumes or an `InputError`, in time and in memory."""

from __future__ import annotations

import logging
import multiprocessing
import os
import resource
import signal
import tempfile
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import wait
from pathlib import Path
from time import perf_counter
from typing import Any

from oracles.fuzz_seeds import damage, seeds

HANG_S = 10
KILL_S = 15  # of processor time, where a library does not come back to Python at all
MEMORY_BYTES = 4 * 2**30  # of addresses beyond what the process has when it starts
JOB = 500  # inputs a process


@dataclass
class Tally:
    """What the inputs of one kind led to; `peak_mib` is memory beyond the process's own at its start."""

    outcomes: Counter[str] = field(default_factory=Counter)
    peak_mib: float = 0.0
    slowest_s: float = 0.0


def fuzz(n: int, seed: int, keep: Path, *, jobs: int = 1) -> dict[str, Tally]:
    """Try `n` inputs, as many of each kind, and return what they led to."""
    import medseg.read  # noqa: F401  (once, before the processes are forked)

    kinds = list(seeds())
    share = -(-n // len(kinds))
    left = [(kind, start, min(start + JOB, share)) for kind in kinds for start in range(0, share, JOB)][::-1]
    tallies = {kind: Tally() for kind in kinds}
    running: dict[Any, tuple[Any, Any, tuple[str, int, int]]] = {}
    context = multiprocessing.get_context("fork")
    while left or running:
        while left and len(running) < jobs:
            job = left.pop()
            ours, theirs = context.Pipe(duplex=False)
            process = context.Process(target=_work, args=(*job, seed, keep, theirs))
            process.start()
            theirs.close()
            running[process.sentinel] = process, ours, job
        for sentinel in wait(list(running)):
            process, ours, (kind, start, stop) = running.pop(sentinel)
            process.join()
            done = start
            for number, outcome, peak_mib, took_s in _received(ours):
                done = number + 1
                tally = tallies[kind]
                tally.outcomes[outcome] += 1
                tally.peak_mib, tally.slowest_s = max(tally.peak_mib, peak_mib), max(tally.slowest_s, took_s)
            if process.exitcode != 0 and done < stop:  # it died at the input after the last that it reported
                hung = process.exitcode == -signal.SIGPROF
                tallies[kind].outcomes["hang" if hung else f"crash: process ended with {process.exitcode}"] += 1
                _keep(keep, kind, seed, done)
                if done + 1 < stop:
                    left.append((kind, done + 1, stop))
    return tallies


def failed(tally: Tally) -> bool:
    return any(outcome.startswith(("crash", "hang")) for outcome in tally.outcomes)


def _received(pipe: Any) -> Iterator[tuple[int, str, float, float]]:
    try:
        while pipe.poll():
            yield pipe.recv()
    except EOFError:
        return


def _work(kind: str, start: int, stop: int, seed: int, keep: Path, pipe: Any) -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    logging.disable()
    warnings.simplefilter("ignore")
    addresses = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (addresses + MEMORY_BYTES,) * 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGALRM, _too_long)
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with tempfile.TemporaryDirectory() as folder:
        for number in range(start, stop):
            path = write_input(Path(folder), kind, seed, number)
            signal.setitimer(signal.ITIMER_PROF, KILL_S)
            begun = perf_counter()
            outcome = try_to_read(path)
            took_s = perf_counter() - begun
            signal.setitimer(signal.ITIMER_PROF, 0)
            if outcome.startswith(("crash", "hang")):
                _keep(keep, kind, seed, number)
            peak_mib = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib) / 1024
            pipe.send((number, outcome, peak_mib, took_s))
    pipe.close()


def write_input(folder: Path, kind: str, seed: int, number: int) -> Path:
    """Write one damaged file, over the last one of its kind, and return the path to read."""
    path = folder / f"input{seeds()[kind][0]}"
    path.write_bytes(damage(kind, seed, number))
    return path


def try_to_read(path: Path) -> str:
    """Return ``read``, a refusal's code, or ``crash: …`` or ``hang``."""
    from medseg.errors.exceptions import InputError
    from medseg.read.study import read_study
    from medseg.read.volume import Volume

    signal.signal(signal.SIGALRM, _too_long)
    signal.alarm(HANG_S)
    try:
        volumes = read_study(path)
        good = bool(volumes) and all(isinstance(v, Volume) and v.array.size for v in volumes)
        return "read" if good else "crash: no volume"
    except InputError as error:
        return error.code
    except TooLong:
        return "hang"
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a decoder's Rust panics are no `Exception`
        return f"crash: {type(error).__name__}"
    finally:
        signal.alarm(0)


class TooLong(BaseException):
    """Not an `Exception`, so that no reader takes it for a damaged file's."""


def _too_long(*_: object) -> None:
    raise TooLong


def _keep(folder: Path, kind: str, seed: int, number: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    suffix, _ = seeds()[kind]
    (folder / f"{kind}_{seed}_{number}{suffix}").write_bytes(damage(kind, seed, number))
