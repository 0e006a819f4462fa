"""What to do when memory runs out: which errors say so, and what is given back before another try."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any, TypeVar

import torch

from medseg.errors import causes_of

T = TypeVar("T")
# What each allocator of ours says: torch on the CPU, oneDNN, C++ behind either
OUT_OF_MEMORY = (
    "can't allocate memory",
    "not enough memory",
    "out of memory",
    "bad_alloc",
    "could not create a memory",
)


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
