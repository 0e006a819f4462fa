"""Reads generated mutations of DICOM series with medseg and MONAI's two readers, and judges each voxel's place.

``python benchmarks/read_mutations.py --n 10000`` prints the table of ``docs/benchmarks/read_mutations.md``; what
medseg read wrongly follows it, by seed, on the standard error stream.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from pathlib import Path
from time import perf_counter

from common import machine
from oracles.dicom_judge import VERDICTS, Reading, judge, monai_reader, read_by_medseg
from oracles.dicom_mutations import Case, write_case
from oracles.mutation_kinds import KINDS

MEDSEG, PEERS = "medseg", ("PydicomReader", "ITKReader")
CHUNK = 25
HANG_S = 10
Result = tuple[int, tuple[str, ...], dict[str, tuple[str, str]]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=10000, help="mutated series for medseg")
    parser.add_argument("--seed", type=int, default=0, help="of the first; the n-th has seed + n")
    parser.add_argument("--skip-peers", action="store_true", help="leave MONAI's readers out")
    parser.add_argument("--peers-n", type=int, help="how many of them MONAI's readers get too; all by default")
    given = parser.parse_args()
    peers_n = 0 if given.skip_peers else given.n if given.peers_n is None else given.peers_n
    begun = perf_counter()
    starts = range(0, given.n, CHUNK)
    results: list[Result] = []
    with ProcessPoolExecutor(max_workers=2, initializer=_be_quiet) as pool:
        for some in pool.map(run_chunk, [(given.seed, n, min(n + CHUNK, given.n), peers_n) for n in starts]):
            results += some
    print_table(results, perf_counter() - begun)
    for seed, kinds, verdicts in results:
        verdict, reason = verdicts[MEDSEG]
        if verdict not in ("right", "refused"):
            print(f"seed {seed} {' + '.join(kinds)}: {verdict}: {reason}", file=sys.stderr)


def run_chunk(chunk: tuple[int, int, int, int]) -> list[Result]:
    """Judge the cases `start` to `stop`; those from `peers_n` on by medseg alone."""
    seed, start, stop, peers_n = chunk
    return [run_case(seed + n, peers=n < peers_n) for n in range(start, stop)]


def run_case(seed: int, *, peers: bool) -> Result:
    """Write the case of one seed and return its kinds and every reader's verdict."""
    with tempfile.TemporaryDirectory() as folder:
        case = write_case(Path(folder), seed)
        names = (MEDSEG, *PEERS) if peers else (MEDSEG,)
        return seed, case.kinds, {name: _verdict(name, case) for name in names}


def _verdict(name: str, case: Case) -> tuple[str, str]:
    """Judge in a process of its own what may never come back: ITK's C++ loops for ever on some broken numbers."""
    read = _reader(name)
    if name != "ITKReader":
        return judge(case, read(case.folder))
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=lambda: theirs.send(judge(case, read(case.folder))))
    process.start()
    theirs.close()
    try:
        return ours.recv() if ours.poll(HANG_S) else ("hung", f"no answer after {HANG_S} s")
    except EOFError:
        return "hung", "the process died"
    finally:
        process.kill()
        process.join()
        ours.close()


@cache
def _reader(name: str) -> Callable[[Path], Reading | None]:
    return read_by_medseg if name == MEDSEG else monai_reader(name)


def _be_quiet() -> None:
    """Send the C++ readers' console, and MONAI's, to nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)


def print_table(results: list[Result], elapsed_s: float) -> None:
    """Print one row a kind; a case of two kinds counts in both rows, and once in the last."""
    counts: dict[str, dict[str, Counter[str]]] = defaultdict(lambda: defaultdict(Counter))
    for _, kinds, verdicts in results:
        for name, (verdict, _) in verdicts.items():
            for kind in (*kinds, "all"):
                counts[kind][name][verdict] += 1
    readers = [name for name in (MEDSEG, *PEERS) if counts["all"][name]]
    print(f"{machine('medseg', 'monai', 'pydicom', 'itk', 'numpy')}; {elapsed_s / 60:.1f} minutes\n")
    print(f"Each cell: {' / '.join(VERDICTS)}.\n")
    print(f"| mutation | cases | {' | '.join(readers)} |")
    print(f"|---|---|{'---|' * len(readers)}")
    for kind in (*KINDS, "all"):
        cells = [" / ".join(str(counts[kind][name][verdict]) for verdict in VERDICTS) for name in readers]
        print(f"| {kind} | {sum(counts[kind][MEDSEG].values())} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
