"""Whether a network may see larger windows than it was trained with: by its operations, and by trying."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from medseg.infer.copies import LOCK, can_be_copied, graph_of, kept
from medseg.infer.device import Network
from medseg.infer.out_of_memory import is_out_of_memory
from medseg.infer.placeless import is_placeless

SAME_SCORES = 0.05  # of the standard deviation of the scores; see docs/explanation/engine.md


def may_grow(network: Network) -> bool:
    """Whether a network's operations look at a voxel's surroundings alone, and no trial said otherwise."""
    if not can_be_copied(network):
        return False
    graph = graph_of(network)  # type: ignore[arg-type]
    return graph is not None and is_placeless(graph) and kept(network).grows is not False  # type: ignore[arg-type]


def grows(
    network: torch.nn.Module, run: Callable, sample: Callable[[], torch.Tensor | None], trained: Sequence[int]
) -> bool:
    """Return whether `run` gives the same in a larger window (1, channels, …) as in one of the `trained` size.

    It is tried once for a network; not on a `sample` of None, where no window has more than one value.
    """
    with LOCK:
        known = kept(network)
        if known.grows is None and (window := sample()) is not None:
            if list(window.shape[2:]) == list(trained):
                return True
            try:
                known.grows = _is_same_in_larger(network, run, window, trained)
            except Exception as error:
                if is_out_of_memory(error):
                    raise
                known.grows = False  # it takes windows of one size
        return known.grows is not False


def _is_same_in_larger(
    network: torch.nn.Module, run: Callable, window: torch.Tensor, trained: Sequence[int]
) -> bool:
    """Compare a window with its first corner, where both see well: in the half next to the corner they share.

    In the corner, the graph that `may_grow` went by has to give the network's scores too.
    """
    small = window[(slice(None), slice(None), *(slice(n) for n in trained))]
    halves = [slice(n if n == size else n // 2) for n, size in zip(trained, window.shape[2:], strict=True)]
    both = (slice(None), slice(None), *halves)
    in_small, in_large = run(small).float(), run(window).float()
    weight = next(network.parameters())
    with torch.inference_mode():
        by_graph = graph_of(network)(small.to(weight)).to(in_small)  # type: ignore[misc]
    return _are_same(by_graph, in_small) and _are_same(in_large[both], in_small[both])


def _are_same(found: torch.Tensor, expected: torch.Tensor) -> bool:
    return bool((found - expected).square().mean().sqrt() <= SAME_SCORES * expected.std())
