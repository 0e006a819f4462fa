"""A network as it is run: by a copy that was checked on a real window, or as it was given."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import torch
from torch import fx, nn
from torch.utils._pytree import tree_leaves

from medseg.infer.copies import LOCK, Choice, can_be_copied, candidates, graph_of, kept, placed
from medseg.infer.device import LAYOUTS, Network
from medseg.infer.out_of_memory import is_out_of_memory

SAME_SCORES = 1e-3  # of the largest score; folded sums are rounded in another order
AS_NEAR = 1.25  # times the rounding error of the network as given under autocast


class Running:
    """A network on `device` in `dtype`; as it was given until a copy is chosen, and wherever that copy fails."""

    def __init__(self, network: Network, device: torch.device, dtype: torch.dtype) -> None:
        self.device, self.dtype = device, dtype
        self.network = placed(network, device) if isinstance(network, nn.Module) else network
        self.choice = Choice(None, autocast=dtype == torch.bfloat16)

    def __call__(self, windows: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        """Return what the network gives for `windows` (B, channels, …); further arguments are the network's."""
        if self.choice.copy is not None and not args and not kwargs:
            try:
                return _run_copy(self.choice.copy, windows, self.device, self.dtype)
            except Exception as error:
                if is_out_of_memory(error):
                    raise
                output = self.as_given(windows)
                self.choice = Choice(None, self.choice.autocast)  # since what was given can
                return output
        return self.as_given(windows, *args, **kwargs)

    @torch.no_grad()  # not inference mode: what a lazy module makes now can be trained later
    def as_given(self, windows: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        """Return what the network gives itself, in float32 where it cannot do with autocast."""
        windows = windows.to(self.device, _own_dtype(self.network, windows), non_blocking=True).contiguous()
        if self.choice.autocast:
            try:
                with torch.autocast(self.device.type, dtype=torch.bfloat16):
                    return self.network(windows, *args, **kwargs)
            except Exception as error:
                if is_out_of_memory(error):
                    raise
                output = self.network(windows, *args, **kwargs)
                self.choice = Choice(self.choice.copy, autocast=False)
                return output
        return self.network(windows, *args, **kwargs)


def running(
    network: Network, device: torch.device, dtype: torch.dtype, sample: Callable[[], torch.Tensor | None]
) -> Running:
    """Return `network` as it is run; the first time, after a check on `sample`, a window (1, channels, …)."""
    made = Running(network, device, dtype)
    if isinstance(network, nn.Module) and can_be_copied(network):
        with LOCK:
            choices = kept(network).choices
            window = None if (device, dtype) in choices else sample()
            if window is not None:
                choices[device, dtype] = _choose(network, made, window)
            made.choice = choices.get((device, dtype), made.choice)
    return made


def sees_windows_alone(
    network: Network, run: Running, sample: Callable[[], torch.Tensor | None], *, needs_graph: bool = False
) -> bool:
    """Whether a network gives a window the same scores whatever others are in its batch; tried once, on `sample`.

    Parameters
    ----------
    needs_graph
        No where its operations depend on values: two windows cannot show what others would do.
    """
    if not isinstance(network, nn.Module) or any(module.training for module in network.modules()):
        return False
    if needs_graph and (not can_be_copied(network) or graph_of(network) is None):
        return False
    with LOCK:
        known = kept(network)
        if known.alone is None and (window := sample()) is not None:
            known.alone = _is_same_in_company(run, _middle(window)) or _is_same_in_company(run, window)
        return known.alone is True


def _is_same_in_company(run: Running, window: torch.Tensor) -> bool:
    """Compare the scores of unlike windows in pairs, in either order, with those of each by itself."""
    unlike = window, 1 - 2 * window, -window  # in their mean and spread; in the sign of their mean
    try:
        alone = [_leaves(run(each.clone())) for each in unlike]
        for first, second in ((0, 1), (1, 0), (0, 2), (2, 0)):
            together = _leaves(run(torch.cat([unlike[first], unlike[second]])))
            for found, *expected in zip(together, alone[first], alone[second], strict=True):
                wanted = torch.cat(expected)
                if found.shape != wanted.shape or _largest(found, wanted) > SAME_SCORES * float(
                    wanted.abs().max()
                ):
                    return False
    except Exception as error:
        if is_out_of_memory(error):
            raise
        return False
    return True


@torch.inference_mode()
def _choose(network: nn.Module, given: Running, window: torch.Tensor) -> Choice:
    """Return the first copy that gives the scores of the network as given, as far as its precision allows."""
    device, dtype = given.device, given.dtype
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        exact = Running(network, device, torch.float32)
        window, expected = _smallest(exact, window)
        if dtype == torch.bfloat16:
            found = _leaves(given.as_given(window.clone()))
            if not given.choice.autocast:  # an operation of it needs float32
                return given.choice
            allowed = [AS_NEAR * _rounding(*pair) for pair in zip(found, expected, strict=True)]
        else:
            allowed = [SAME_SCORES * float(each.abs().max()) for each in expected]
        measure = _rounding if dtype == torch.bfloat16 else _largest
        for make in candidates(network, device, dtype):
            try:
                made = make()
                found = _leaves(_run_copy(made, window.clone(), device, dtype))
                errors = [measure(*pair) for pair in zip(found, expected, strict=True)]
            except Exception as error:
                if is_out_of_memory(error):
                    raise
                continue
            if all(a <= b for a, b in zip(errors, allowed, strict=True)):
                return Choice(made, given.choice.autocast)
    return given.choice


def _smallest(exact: Running, window: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Return the middle of a window, if the network takes that, else the window, and the scores in float32.

    The check shall need no more memory than the windows that follow.
    """
    middle = _middle(window)
    with contextlib.suppress(Exception):
        return middle, _leaves(exact(middle.clone()))
    return window, _leaves(exact(window.clone()))


def _middle(window: torch.Tensor) -> torch.Tensor:
    """Return the middle of a window (1, channels, …): about half of each axis, no harder to halve."""
    spans = []
    for n in window.shape[2:]:
        multiple = max(2**k for k in range(8) if n % 2**k == 0 and 2**k <= max(n // 2, 1))
        size = -(-n // (2 * multiple)) * multiple
        start = (n - size) // 2
        spans.append(slice(start, start + size))
    return window[(slice(None), slice(None), *spans)]


@torch.inference_mode()
def _run_copy(made: nn.Module, windows: torch.Tensor, device: torch.device, dtype: torch.dtype) -> Any:
    windows = windows.to(device, dtype, non_blocking=True)
    run = made.forward if isinstance(made, fx.GraphModule) else made  # a call of it prints what goes wrong
    return run(windows.contiguous(memory_format=LAYOUTS[windows.ndim - 2]))


def _leaves(output: Any) -> list[torch.Tensor]:
    """Return a network's tensors; their own memory, since it may use its again."""
    return [
        each.detach().to(torch.float32, copy=True)
        for each in tree_leaves(output)
        if isinstance(each, torch.Tensor)
    ]


def _largest(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float((found - expected).abs().max())


def _rounding(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float((found - expected).square().mean().sqrt())


def _own_dtype(network: Network, windows: torch.Tensor) -> torch.dtype:
    """Return the precision of a network's weights, else that of the image."""
    weights = network.parameters() if isinstance(network, nn.Module) else iter([windows])
    found = next((each.dtype for each in weights if each.is_floating_point()), windows.dtype)
    return found if found.is_floating_point else torch.float32
