"""Copies of a network for a device and a precision, kept until the network changes."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from threading import RLock
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import fx, nn

from medseg.infer.device import channels_last
from medseg.infer.fused import folded, folded_in_parts
from medseg.infer.sample_norm import use_sample_norms
from medseg.infer.state import state_of
from medseg.infer.subpixel import use_subpixels
from medseg.infer.tracing import shared_copy, traced
from medseg.networks import Ensemble

AS_GIVEN = (torch.jit.ScriptModule, nn.DataParallel, nn.parallel.DistributedDataParallel)
LOCK = RLock()  # held while copies are made and checked, not while windows are run


@dataclass(frozen=True)
class Choice:
    """What runs in a network's place: a copy; or the network as given, under autocast or not."""

    copy: nn.Module | None
    autocast: bool


@dataclass
class Kept:
    """What is known of a network while its modules and weights are those of `state`.

    Attributes
    ----------
    choices
        What runs in its place, for each device and precision in which that was checked.
    moved
        The network as given on other devices.
    folded
        Copies whose layers are folded, as a whole or in parts, on the network's device and with its other weights.
    graphs
        Its graph, if it has one, once it was looked for.
    grows
        Whether larger windows gave the same, once that was tried.
    alone
        Whether a window's scores are the same whatever others are in its batch, once that was tried.
    needs
        What it takes of memory, for each kind of window that was asked about.
    """

    state: tuple
    choices: dict[tuple[torch.device, torch.dtype], Choice] = field(default_factory=dict)
    moved: dict[torch.device, nn.Module] = field(default_factory=dict)
    folded: dict[bool, nn.Module] = field(default_factory=dict)
    graphs: list[fx.GraphModule | None] = field(default_factory=list)
    grows: bool | None = None
    alone: bool | None = None
    needs: dict[tuple, tuple[int, tuple[int, ...]] | None] = field(default_factory=dict)


_kept: WeakKeyDictionary[nn.Module, Kept] = WeakKeyDictionary()


# Networks that nobody changes at the moment, by id
_unchanged: ContextVar[Mapping[int, Kept]] = ContextVar("unchanged", default={})  # noqa: B039


@contextmanager
def unchanged(network: Any) -> Iterator[None]:
    """Look at a network's state once for the whole block, in which nobody changes it."""
    if not isinstance(network, nn.Module):
        yield
        return
    token = _unchanged.set({**_unchanged.get(), id(network): kept(network)})
    try:
        yield
    finally:
        _unchanged.reset(token)


def kept(network: nn.Module) -> Kept:
    """Return what is known of a network in the state it is in now, see `medseg.infer.state.state_of`."""
    if id(network) in _unchanged.get():
        return _unchanged.get()[id(network)]
    state = state_of(network)
    with LOCK:
        if network not in _kept or _kept[network].state != state:
            _kept[network] = Kept(state)
        return _kept[network]


def can_be_copied(network: Any) -> bool:
    """Whether a copy does what a network does: it is not being trained, and no hook of a caller's watches it."""
    if not isinstance(network, nn.Module) or any(
        module.training
        or module._forward_hooks
        or module._forward_pre_hooks
        or isinstance(module, AS_GIVEN)
        or hasattr(module, "_orig_mod")  # compiled
        for module in network.modules()
    ):
        return False
    return not any(tensor.is_inference() for tensor in (*network.parameters(), *network.buffers()))


def graph_of(network: nn.Module) -> fx.GraphModule | None:
    """Return the graph of `network`, unchanged, if it has one."""
    known = kept(network)
    with LOCK:
        if not known.graphs:
            try:
                known.graphs.append(traced(shared_copy(network)))
            except Exception:  # it holds what cannot be copied, such as a lock
                known.graphs.append(None)
        return known.graphs[0]


def fused(
    network: nn.Module, device: torch.device, dtype: torch.dtype, *, subpixels: bool = True, in_parts: bool = False
) -> nn.Module:
    """Return a copy of `network` for `device` and `dtype` with folded layers, of the whole or `in_parts`."""
    known = kept(network)
    with LOCK:
        if in_parts not in known.folded:
            known.folded[in_parts] = _folded_in_parts(network) if in_parts else folded(shared_copy(network))
        made = copy_on(known.folded[in_parts], device)
    if subpixels and dtype == torch.bfloat16 and device.type == "cpu":
        use_subpixels(made)
    return _laid_out(made, device, dtype)


def candidates(network: nn.Module, device: torch.device, dtype: torch.dtype) -> Iterator[Callable[[], nn.Module]]:
    """Yield functions that make copies of `network`, the fastest first."""
    yield lambda: fused(network, device, dtype)
    yield lambda: fused(network, device, dtype, subpixels=False)
    yield lambda: fused(network, device, dtype, subpixels=False, in_parts=True)
    yield lambda: _laid_out(copy_on(network, device), device, dtype)


def copy_on(network: nn.Module, device: torch.device) -> nn.Module:
    """Return a copy of `network` whose weights are made on `device`: a GPU that is full has no room for one."""
    moved: dict[int, torch.Tensor] = {}
    for tensor in (*network.parameters(), *network.buffers()):
        if tensor.device != device and id(tensor) not in moved:
            there = tensor.detach().to(device)
            is_weight = isinstance(tensor, nn.Parameter)
            moved[id(tensor)] = nn.Parameter(there, tensor.requires_grad) if is_weight else there
    return copy.deepcopy(network, moved)


def placed(network: nn.Module, device: torch.device) -> nn.Module:
    """Return `network` where it is on `device`, else a copy of it there."""
    here = next((tensor.device for tensor in (*network.parameters(), *network.buffers())), device)
    if here == device or (here.type == device.type and device.index is None):
        return network
    known = kept(network)
    with LOCK:
        if device not in known.moved:
            known.moved[device] = copy_on(network, device).to(device)
        return known.moved[device]


def _folded_in_parts(network: nn.Module) -> nn.Module:
    """Return a copy with parts folded; of an ensemble the parts of each member."""
    copied = shared_copy(network)
    for each in copied.members if isinstance(copied, Ensemble) else [copied]:
        folded_in_parts(each)
    return copied


def _laid_out(network: nn.Module, device: torch.device, dtype: torch.dtype) -> nn.Module:
    if device.type == "cpu":
        use_sample_norms(network)
    return channels_last(network).to(device=device, dtype=dtype).requires_grad_(False)
