"""Kill a batch run with SIGKILL at random instants, run it again, and see what became of its outputs.

    python benchmarks/batch_kill.py --n 200

Small volumes go the way of `medseg.prediction.predict_cases`, with a network of no weight, so that most instants
fall between reading, writing, renaming and recording. A server that has imported everything forks each run: one
starts in milliseconds, and as many can be killed.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from common import machine
from oracles.kill_server import kill_at_random


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=200, help="kills")
    parser.add_argument("--cases", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        start_s = time.monotonic()
        found = kill_at_random(Path(folder), arguments.n, cases=arguments.cases, seed=arguments.seed)
        print(machine("medseg"))
        print(f"{time.monotonic() - start_s:.0f} s")
        print("\n".join(f"| {name} | {count} |" for name, count in found.items()))
    sys.exit(bool(found["lost"] or found["corrupt"] or found["duplicated"] or found["parts left"]))


if __name__ == "__main__":
    main()
