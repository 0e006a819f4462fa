"""Feeds damaged files to `medseg.read_study`: each must give volumes or an `InputError`, in time and in memory.

``python benchmarks/fuzz_read.py --n 100000`` prints the table of ``docs/benchmarks/fuzz_read.md``. Inputs that did
otherwise are kept in ``--keep``, named by kind and number; the same seed makes them again.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter

from common import machine
from oracles.fuzz import Tally, failed, fuzz


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=100_000, help="inputs in all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2, help="processes at a time")
    parser.add_argument(
        "--keep", type=Path, default=Path("runs/fuzz"), help="where inputs that crash or hang are kept"
    )
    given = parser.parse_args()
    begun = perf_counter()
    tallies = fuzz(given.n, given.seed, given.keep, jobs=given.jobs)
    print_table(tallies, perf_counter() - begun)
    if any(failed(tally) for tally in tallies.values()):
        sys.exit(f"the inputs that failed are in {given.keep}")


def print_table(tallies: dict[str, Tally], elapsed_s: float) -> None:
    print(f"{machine('medseg', 'pydicom', 'nibabel', 'numpy')}; {elapsed_s / 60:.1f} minutes\n")
    print("| seed | inputs | read | refused | crashes | hangs | slowest s | peak MiB | refusals |")
    print("|---|---|---|---|---|---|---|---|---|")
    whole = Tally()
    for kind, tally in tallies.items():
        print(_row(kind, tally))
        whole.outcomes += tally.outcomes
        whole.peak_mib, whole.slowest_s = (
            max(whole.peak_mib, tally.peak_mib),
            max(whole.slowest_s, tally.slowest_s),
        )
    print(_row("all", whole))


def _row(kind: str, tally: Tally) -> str:
    counts = tally.outcomes
    crashes = {outcome: n for outcome, n in counts.items() if outcome.startswith("crash")}
    codes = {o: n for o, n in counts.most_common() if o not in ("read", "hang") and o not in crashes}
    named = ", ".join(f"{o} {n}" for o, n in (crashes | codes).items())
    cells: Sequence[object] = (
        *(kind, counts.total(), counts["read"], sum(codes.values()), sum(crashes.values()), counts["hang"]),
        *(f"{tally.slowest_s:.2f}", f"{tally.peak_mib:.0f}", named),
    )
    return f"| {' | '.join(map(str, cells))} |"


if __name__ == "__main__":
    main()
