"""What a network takes of memory, counted without running it, and what a GPU has free."""

from __future__ import annotations

import copy
import weakref
from collections.abc import Sequence
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


def free_gpu_bytes(device: torch.device) -> int:
    """Return what a GPU has free, with what torch holds there and does not use."""
    unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return torch.cuda.mem_get_info(device)[0] + unused


def network_bytes(network: Any, shape: Sequence[int], dtype: torch.dtype) -> tuple[int, tuple[int, ...]]:
    """Return the most that `network`'s tensors take at once for an input of `shape`, and its output's shape.

    The network runs on the meta device, where tensors have a shape and no memory. Weights are not counted.

    Raises
    ------
    RuntimeError
        The network cannot take this shape.
    """
    copied = copy.deepcopy(network).to(device="meta", dtype=dtype)
    with torch.inference_mode(), _Living() as living:
        output = copied(torch.empty(*shape, dtype=dtype, device="meta"))
    return living.most, tuple(output.shape)


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
