"""What all benchmarks share: the path to the tests' oracles, the line on the machine, and runs that take turns.

Import it before `oracles`, `project` or `make`, which lie in ``tests/`` and ``sample_data/``.
"""

from __future__ import annotations

import os
import platform
import sys
import time
from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parent.parent
BUNDLES = ROOT / "bundles"
DATA = Path(os.environ.get("MEDSEG_TEST_DATA", ROOT.parent / "shared" / "data"))
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "sample_data")]


def machine(*packages: str) -> str:
    """Return the line that names CPU, cores, system, Python and the versions of packages."""
    versions = [f"{os.cpu_count()} cores", platform.system(), f"Python {platform.python_version()}"]
    for package in packages:
        try:
            versions.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            versions.append(f"{package} not installed")
    return ", ".join([_cpu(), *versions])


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def medians(runs: Mapping[str, Callable[[], object]], turns: int, *, warm_ups: int = 1) -> dict[str, float]:
    """Return each run's median seconds; the runs take turns, so that a slow minute is shared by all."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(warm_ups + turns):
        for name, run in runs.items():
            start_s = time.perf_counter()
            run()
            if turn >= warm_ups:
                times[name].append(time.perf_counter() - start_s)
    return {name: median(seconds) for name, seconds in times.items()}


def peak_mib() -> float:
    """Return the most that this process held, on Linux. (``ru_maxrss`` would start from what its parent held.)"""
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 1024
