"""A network's graph of operations, taken while other threads go on running networks."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable
from typing import Any

from torch import fx, nn

_one_at_a_time = threading.Lock()


def traced(network: nn.Module) -> fx.GraphModule | None:
    """Return the graph of `network`, which is of its modules; None where its operations depend on values.

    Arguments other than the first keep their defaults.
    """
    try:
        with _one_at_a_time:
            tracer = _Tracer()
            graph = tracer.trace(_OfOneInput(network))
            return fx.GraphModule(tracer.root, graph, type(network).__name__)
    except Exception:  # torch.fx names a dozen kinds of error
        return None


def shared_copy(network: nn.Module) -> nn.Module:
    """Return a copy with modules of its own and the very weights of `network`."""
    tensors = {id(tensor): tensor for tensor in (*network.parameters(), *network.buffers())}
    return copy.deepcopy(network, tensors)


class _Tracer(fx.Tracer):
    """Traces its own thread alone; torch.fx exchanges `Module.__call__` and `__getattr__` for all threads."""

    def __init__(self) -> None:
        super().__init__()
        self.thread = threading.get_ident()

    def call_module(self, m: nn.Module, forward: Callable, args: tuple, kwargs: dict[str, Any]) -> Any:
        if threading.get_ident() != self.thread:
            return forward(*args, **kwargs)
        return super().call_module(m, forward, args, kwargs)

    def getattr(self, attr: str, attr_val: Any, parameter_proxy_cache: dict[str, Any]) -> Any:
        if threading.get_ident() != self.thread:
            return attr_val
        return super().getattr(attr, attr_val, parameter_proxy_cache)


class _OfOneInput(nn.Module):
    """Calls a network with the input alone, so that other arguments have their defaults in the graph."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, inputs: Any) -> Any:
        return self.network(inputs)
