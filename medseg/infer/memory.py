"""What a network takes of memory, and which errors mean that there was not enough."""

from __future__ import annotations

import copy
import gc
import weakref
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from medseg.errors import causes_of

T = TypeVar("T")


_known: weakref.WeakKeyDictionary[Any, dict[tuple, tuple[int, tuple[int, ...]]]] = weakref.WeakKeyDictionary()


# What each allocator of ours says: torch on the CPU, oneDNN, C++ behind either
OUT_OF_MEMORY = (
    "can't allocate memory",
    "not enough memory",
    "out of memory",
    "bad_alloc",
    "could not create a memory",
)


def free_gpu_bytes(device: torch.device) -> int:
    """Return what a GPU has free, with what torch holds there and does not use."""
    unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return torch.cuda.mem_get_info(device)[0] + unused


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error, or one it was raised from, says that memory ran out; nothing else counts."""
    for cause in causes_of(error):
        if isinstance(cause, (MemoryError, torch.OutOfMemoryError)):
            return True
        if isinstance(cause, RuntimeError) and any(text in str(cause) for text in OUT_OF_MEMORY):
            return True
    return False


def retry_if_out_of_memory(function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
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
