"""The running mean of a network's weights."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import torch
from ignite.engine import Engine, Events


class WeightAverage:
    """The exponential running mean of a network's weights, which generalizes better than the last step's.

    Source: Polyak and Juditsky 1992, doi:10.1137/0330046; as used by Tarvainen and Valpola 2017,
    arXiv:1703.01780.

    Parameters
    ----------
    network
        What is trained.
    decay
        Share of the mean that stays at each step, once it has seen enough steps; 0 follows the network.
    """

    def __init__(self, network: torch.nn.Module, decay: float = 0.998) -> None:
        self.source, self.decay = network, decay
        self.network = deepcopy(network).eval().requires_grad_(False)
        self.steps = 0

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.ITERATION_COMPLETED, self.update)

    @torch.no_grad()
    def update(self) -> None:
        """Take the network's weights into the mean; the first steps weigh more, so that it starts well."""
        decay = min(self.decay, self.steps / (self.steps + 10))
        self.steps += 1
        ours, theirs = self.network.state_dict(), self.source.state_dict()
        for name, mean in ours.items():
            if mean.is_floating_point():
                mean.lerp_(theirs[name], 1 - decay)
            else:
                mean.copy_(theirs[name])

    def state_dict(self) -> dict[str, Any]:
        return {"network": self.network.state_dict(), "steps": self.steps}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.network.load_state_dict(state["network"])
        self.steps = state["steps"]
