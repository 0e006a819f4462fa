"""A thousand small cases, of which a tenth is bad in twenty ways, beside the same without; and the second run.

    MEDSEG_TEST_DATA=... python benchmarks/batch_throughput.py

`medseg predict` with the shipped hippocampus model, each run a process of its own, timed whole. The good cases are
the 200 volumes of the Decathlon's Task04_Hippocampus, each under several names.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from common import BUNDLES, DATA, machine, medians
from oracles.bad_cases import BAD

BUNDLE = BUNDLES / "hippocampus_mr_unet3d"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=1000)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--turns", type=int, default=1)
    arguments = parser.parse_args()
    volumes = sorted(DATA.glob("Task04_Hippocampus/imagesTr/[!.]*.nii.gz"))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        n_bad = write_bad(folder / "mixed", arguments.cases // 10)
        n_good = arguments.cases - n_bad
        for n in range(arguments.cases):
            link(volumes[n % len(volumes)], folder / "good" / f"good_{n:04}.nii.gz")
            if n < n_good:
                link(volumes[n % len(volumes)], folder / "mixed" / f"good_{n:04}.nii.gz")
        runs = {kind: NewFolders(folder, kind, arguments.jobs) for kind in ("good", "mixed")}
        seconds = medians(runs, arguments.turns, warm_ups=0)
        again = medians({kind: run.first_again for kind, run in runs.items()}, 1, warm_ups=0)
        done, coded, same = judge(folder)
        all_good = len(list((folder / "good_0").glob("good_*")))
    good_s, mixed_s = (seconds[kind] for kind in ("good", "mixed"))
    print(f"{machine('medseg', 'torch')}; {len(BAD)} ways to be bad, jobs {arguments.jobs}")
    print("\n| | cases | done | s | good cases/min |\n|---|---:|---:|---:|---:|")
    print(f"| all good | {arguments.cases} | {all_good} | {good_s:.1f} | {60 * all_good / good_s:.0f} |")
    print(f"| a tenth bad | {arguments.cases} | {done} | {mixed_s:.1f} | {60 * done / mixed_s:.0f} |")
    print(f"\n{coded} of {n_bad} bad cases have the code they must get.")
    print(f"{same} of {n_good} good ones have the same bytes in both runs.")
    print(f"The second run takes {again['good']:.2f} s; {again['mixed']:.2f} s where it tries the bad ones again.")


def link(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.symlink_to(source)


def write_bad(folder: Path, count: int) -> int:
    """Write `count` bad cases, equally many of each kind, and return how many."""
    folder.mkdir(parents=True)
    each = max(1, count // len(BAD))
    for name, (_, write) in BAD.items():
        for n in range(each):
            write(folder / f"bad_{n:02}_{name}")
    return each * len(BAD)


class NewFolders:
    """A run that writes to a new folder each time: a finished one would be skipped."""

    def __init__(self, folder: Path, kind: str, jobs: int) -> None:
        self.folder, self.kind, self.jobs, self.turn = folder, kind, jobs, 0

    def __call__(self) -> None:
        predict(self.folder / self.kind, self.folder / f"{self.kind}_{self.turn}", self.jobs)
        self.turn += 1

    def first_again(self) -> None:
        predict(self.folder / self.kind, self.folder / f"{self.kind}_0", self.jobs)


def predict(data: Path, output: Path, jobs: int) -> None:
    command = [sys.executable, "-m", "medseg.cli", "predict", BUNDLE, data, output, "--device", "cpu"]
    start_s = time.perf_counter()
    done = subprocess.run([*map(str, command), "--jobs", str(jobs)], capture_output=True, text=True, check=False)
    elapsed_s = time.perf_counter() - start_s
    print(f"{output.name}: {elapsed_s:.2f} s, exit status {done.returncode}", file=sys.stderr)


def judge(folder: Path) -> tuple[int, int, int]:
    """Return how many are done, how many bad ones rightly coded, how many good ones equal in both runs."""
    lines = (folder / "mixed_0" / "manifest.jsonl").read_text().splitlines()
    records = {record["case"]: record for record in map(json.loads, lines)}
    done = sum(record["status"] == "done" for record in records.values())
    wrong: Counter = Counter()
    coded = 0
    for name, record in records.items():
        if name.startswith("bad_"):
            wanted = BAD[name[len("bad_00_") :]][0]
            coded += record["codes"] == [wanted] and record["status"] == "failed"
            if record["codes"] != [wanted]:
                wrong[f"{name[len('bad_00_') :]} {record['codes']}"] += 1
    same = sum(
        (folder / "good_0" / f"{name}.nii.gz").read_bytes() == (folder / "mixed_0" / f"{name}.nii.gz").read_bytes()
        for name, record in records.items()
        if name.startswith("good_") and record["status"] == "done"
    )
    for name, count in wrong.items():
        print(f"wrongly coded: {name} {count}", file=sys.stderr)
    return done, coded, same


if __name__ == "__main__":
    main()
