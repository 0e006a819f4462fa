"""One line given to several processes at once, of which some are killed at work."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from project import python_path

from medseg.prediction.claims import WRITING
from oracles.small_batch import lines, outputs, predict_small, write_cases

LINE = """
import sys
from oracles.small_batch import predict_small
print("begun", flush=True)
sys.stdin.readline()
records = predict_small(sys.argv[1], sys.argv[2], jobs=int(sys.argv[3]))
print(len(records), *sorted({record["status"] for record in records}))
"""


def _lines_begun(folder: Path) -> int:
    manifest = folder / "manifest.jsonl"
    return manifest.read_bytes().count(b"\n") if manifest.exists() else 0


def run_together(folder: Path, *, cases: int, processes: int, kills: int, jobs: int = 1) -> dict[str, int]:
    """Predict small cases by one process and by several, and count what is not as it should be.

    Returns
    -------
    dict
        ``cases``; ``survivors`` that ended with all cases done; ``twice``, ``missing`` and ``different`` cases of
        the shared folder beside the single one's; ``left``, the hidden files there.
    """
    write_cases(folder / "in", cases)
    predict_small(folder / "in", folder / "single")
    shared = folder / "shared"
    call = [sys.executable, "-c", LINE, str(folder / "in"), str(shared), str(jobs)]
    runs = [
        subprocess.Popen(call, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=python_path())
        for _ in range(processes)
    ]
    for run in runs:
        assert run.stdout is not None
        assert run.stdout.readline() == "begun\n"
    for run in runs:
        assert run.stdin is not None
        run.stdin.write("\n")
        run.stdin.flush()
    for n, run in enumerate(runs[:kills], start=1):
        while _lines_begun(shared) < n * cases // (2 * kills + 1):
            time.sleep(0.005)
        run.kill()
    said = [run.communicate()[0] for run in runs]
    assert [run.returncode for run in runs[:kills]] == [-signal.SIGKILL] * kills, (
        "it was done before it was killed"
    )
    done = Counter(record["case"] for record in lines(shared) if record["status"] == "done")
    found, wanted = outputs(shared), outputs(folder / "single")
    return {
        "cases": cases,
        "survivors": said.count(f"{cases} done\n"),
        "twice": sum(count > 1 for count in done.values()),
        "missing": len(wanted.keys() - found.keys()),
        "different": sum(found.get(name) != content for name, content in wanted.items()),
        "left": sum(path.name.startswith((WRITING, ".part-")) for path in shared.iterdir()),
    }
