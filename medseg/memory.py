"""What memory there is, what a network takes of it, and which errors mean that there was not enough."""

from __future__ import annotations

import copy
import gc
import os
import weakref
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from medseg.errors import causes_of

T = TypeVar("T")
MIB = 2**20
_known: weakref.WeakKeyDictionary[Any, dict[tuple, tuple[int, tuple[int, ...]]]] = weakref.WeakKeyDictionary()
MARGIN = 0.1  # of the free memory, left to the rest of the machine
# What each allocator of ours says: torch on the CPU, oneDNN, C++ behind either
OUT_OF_MEMORY = (
    "can't allocate memory",
    "not enough memory",
    "out of memory",
    "bad_alloc",
    "could not create a memory",
)


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


def free_gpu_bytes(device: torch.device) -> int:
    """Return what a GPU has free, with what torch holds there and does not use."""
    unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return torch.cuda.mem_get_info(device)[0] + unused


def resident_bytes() -> int:
    """Return this process's size in memory; 0 where the system does not say."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error, or one it was raised from, says that memory ran out; nothing else counts."""
    for cause in causes_of(error):
        if isinstance(cause, (MemoryError, torch.OutOfMemoryError)):
            return True
        if isinstance(cause, RuntimeError) and any(text in str(cause) for text in OUT_OF_MEMORY):
            return True
    return False


def twice(function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
    """Return what `function` returns; if memory runs out, what can be is given back and it is called once more."""
    try:
        return function(*args, **kwargs)
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        error.__traceback__ = None  # it holds on to what was allocated
    give_back()
    return function(*args, **kwargs)


def give_back() -> None:
    """Free what nothing refers to any more, and torch's cache on GPUs."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def network_bytes(network: Any, shape: Sequence[int], dtype: torch.dtype) -> tuple[int, tuple[int, ...]]:
    """Return the most that `network`'s tensors take at once for an input of `shape`, and its output's shape.

    The network runs on the meta device, where tensors have a shape and no memory. Weights are not counted.

    Raises
    ------
    RuntimeError
        The network cannot take this shape.
    """
    known = _known.setdefault(network, {})
    if (key := (tuple(shape), dtype)) not in known:
        copied = copy.deepcopy(network).to(device="meta", dtype=dtype)
        with torch.inference_mode(), _Living() as living:
            output = copied(torch.empty(*shape, dtype=dtype, device="meta"))
        known[key] = (living.most, tuple(output.shape))
    return known[key]


class _Living(TorchDispatchMode):
    """Counts the bytes of the tensors that are alive, and the most there were."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.most = 0
        self.known: weakref.WeakSet = weakref.WeakSet()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, torch.Tensor) and tensor.untyped_storage() not in self.known:
                storage = tensor.untyped_storage()
                self.known.add(storage)
                self.now += storage.nbytes()
                weakref.finalize(storage, self._gone, storage.nbytes())
        self.most = max(self.most, self.now)
        return result

    def _gone(self, size: int) -> None:
        self.now -= size
