"""Give one line to several processes at once, kill some of them at work, and compare with a single run.

    python benchmarks/batch_shared.py --cases 200 --processes 3 --kills 1

Exits with 1 where a case was done twice, is missing, or has other bytes than in the single run.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from common import machine
from oracles.shared_line import run_together


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=200)
    parser.add_argument("--processes", type=int, default=3)
    parser.add_argument("--kills", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=1, help="processes that read, of each")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        start_s = time.monotonic()
        found = run_together(Path(folder), **vars(arguments))
        print(machine("medseg"))
        print(f"{time.monotonic() - start_s:.0f} s")
        print("\n".join(f"| {name} | {count} |" for name, count in found.items()))
    whole = found["survivors"] == arguments.processes - arguments.kills
    sys.exit(not whole or any(found[name] for name in ("twice", "missing", "different", "left")))


if __name__ == "__main__":
    main()
