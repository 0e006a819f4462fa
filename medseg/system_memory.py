"""How much memory this process may still take: of the machine, and of its control group."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

MIB = 2**20
MARGIN = 0.1  # of the free memory, left to the rest of the machine


def budget_bytes(budget_mib: float = 0) -> int:
    """Return how large this process may grow: `budget_mib`, or (0) its size and what is free, less a margin."""
    if budget_mib:
        return int(budget_mib * MIB)
    return resident_bytes() + int(free_bytes() * (1 - MARGIN))


def free_bytes() -> int:
    """Return what this process may still take: free on the machine, and within its control group's limit."""
    free = [2**62]
    with suppress(OSError):  # not Linux: nothing is known, so errors alone decide
        free.append(1024 * int(Path("/proc/meminfo").read_text().split("MemAvailable:")[1].split()[0]))
    for folder, limit, used in (
        ("/sys/fs/cgroup", "memory.max", "memory.current"),
        ("/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes"),
    ):
        with suppress(OSError, ValueError):  # no such group, or "max"
            stat = dict(line.split() for line in Path(folder, "memory.stat").read_text().splitlines())
            dropped = int(stat.get("inactive_file", 0))  # a cache, given up when memory is needed
            free.append(int(Path(folder, limit).read_text()) - int(Path(folder, used).read_text()) + dropped)
    return max(min(free), 0)


def resident_bytes() -> int:
    """Return this process's size in memory; 0 where the system does not say."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0
