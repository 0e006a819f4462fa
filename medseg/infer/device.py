"""Where and in what a network runs: devices, bfloat16, memory layouts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch
from torch.utils._pytree import tree_map

from medseg.errors import InputError
from medseg.networks import spatial_dims_of

LAYOUTS = {2: torch.channels_last, 3: torch.channels_last_3d}
Network = Callable[..., torch.Tensor]


def choose_device(name: str | torch.device = "auto") -> torch.device:
    """Return the device called `name`: ``auto``, ``cpu``, ``cuda`` or ``cuda:n``.

    Raises
    ------
    InputError
        `CONFIG_BAD_VALUE`: there is no such device here.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    gpus = [f"cuda:{n}" for n in range(torch.cuda.device_count())]
    known = ["cpu", *(["cuda", *gpus] if gpus else [])]
    if str(name) not in known:
        raise InputError(
            "CONFIG_BAD_VALUE", f"device {str(name)!r}: not available; choose from auto, {', '.join(known)}"
        )
    return torch.device(name)


@cache
def fast_dtype(device_type: str) -> torch.dtype:
    """Return bfloat16 where the hardware multiplies in it, else float32.

    A GPU from Ampere on, or a CPU with AMX or AVX512-BF16. float16 is not used: its gradients need a loss
    scaler, and every GPU that trains well today has bfloat16.
    """
    if device_type == "cuda":
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
    elif device_type == "cpu":
        has = torch.cpu.get_capabilities()
        fast = bool(has.get("amx_bf16") or has.get("avx512_bf16"))
    else:
        fast = False
    return torch.bfloat16 if fast else torch.float32


def in_precision(network: Network, precision: str) -> Network:
    """Return `network` run in `precision` (``auto``, ``float32`` or ``bfloat16``) with float32 results."""
    dtype_of(precision, "cpu")

    def run(inputs: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        kind = inputs.device.type
        with torch.autocast(kind, dtype=torch.bfloat16, enabled=dtype_of(precision, kind) == torch.bfloat16):
            inputs = plain(inputs).contiguous(memory_format=LAYOUTS[inputs.ndim - 2])
            return tree_map(torch.Tensor.float, network(inputs, *args, **kwargs))

    return run


def dtype_of(precision: str, device_type: str) -> torch.dtype:
    """Return what ``auto``, ``float32`` or ``bfloat16`` means on a device."""
    allowed = {"auto": None, "float32": torch.float32, "bfloat16": torch.bfloat16}
    if precision not in allowed:
        raise InputError("CONFIG_BAD_VALUE", f"precision {precision!r}: {', '.join(allowed)} are known")
    return allowed[precision] or fast_dtype(device_type)


@contextmanager
def fastest_convolutions(device: torch.device) -> Iterator[None]:
    """Let cuDNN try its algorithms out on the windows, which are all of one size, and keep the fastest.

    Which one that is may differ from run to run, so it is not done where the caller asked for determinism.
    """
    cudnn = torch.backends.cudnn
    before = cudnn.benchmark
    asked = cudnn.deterministic or torch.are_deterministic_algorithms_enabled()
    cudnn.benchmark = before or (device.type == "cuda" and not asked)
    try:
        yield
    finally:
        cudnn.benchmark = before


def channels_last(network: torch.nn.Module) -> torch.nn.Module:
    """Lay a network's weights out with the channels innermost: up to twice as fast in bfloat16."""
    return network.to(memory_format=LAYOUTS[spatial_dims_of(network)])  # type: ignore[call-overload]


def plain(inputs: torch.Tensor) -> torch.Tensor:
    """Return a MetaTensor's tensor: its bookkeeping costs more than a small convolution."""
    return inputs.as_tensor() if hasattr(inputs, "as_tensor") else inputs
