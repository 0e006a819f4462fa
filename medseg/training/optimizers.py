"""Optimizers by name, and the gradients' length cut to a limit."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from ignite.engine import Engine
from monai.engines import IterationEvents

from medseg.errors import InputError

OPTIMIZERS = ("adamw", "sgd")
WEIGHT_DECAY = {"adamw": 0.01, "sgd": 3e-5}  # torch's and nnU-Net's


def make_optimizer(
    params: Iterable[torch.nn.Parameter], *, name: str = "adamw", lr: float, weight_decay: float | None = None
) -> torch.optim.Optimizer:
    """Return the optimizer called `name`, in its fused form.

    Parameters
    ----------
    params
        What it changes.
    name
        ``"adamw"`` (Loshchilov and Hutter 2019, arXiv:1711.05101), or ``"sgd"`` with Nesterov's momentum of 0.99,
        as in nnU-Net.
    lr
        Learning rate at its peak.
    weight_decay
        By default 0.01 for AdamW and 3e-5 for SGD.

    Raises
    ------
    InputError
        `CONFIG_BAD_VALUE`: no such optimizer.
    """
    if name not in OPTIMIZERS:
        raise InputError("CONFIG_BAD_VALUE", f"optimizer {name!r}: {', '.join(OPTIMIZERS)} are known")
    decay = WEIGHT_DECAY[name] if weight_decay is None else weight_decay
    if name == "sgd":
        return torch.optim.SGD(params, lr, momentum=0.99, nesterov=True, weight_decay=decay, fused=True)
    return torch.optim.AdamW(params, lr, weight_decay=decay, fused=True)


class GradientClipping:
    """Shorten the gradient to `max_norm` before each step of MONAI's trainer; 0 leaves it as it is."""

    def __init__(self, network: torch.nn.Module, max_norm: float) -> None:
        self.network, self.max_norm = network, max_norm

    def attach(self, engine: Engine) -> None:
        if self.max_norm:
            engine.add_event_handler(IterationEvents.BACKWARD_COMPLETED, self._clip)

    def _clip(self, engine: Engine) -> None:
        steps, length = engine.accumulation_steps, engine.state.epoch_length
        done = (engine.state.iteration - 1) % length + 1
        if done % steps == 0 or done == length:  # as the trainer decides whether to step
            torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.max_norm)
