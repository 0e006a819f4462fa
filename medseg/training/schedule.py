"""The learning rate over a run, and the time budget it ends with."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import Any

import torch
from ignite.engine import Engine, Events

from medseg.errors import InputError

LATE = 1.25  # a resumed run that is slower than before ends at this share of its minutes


class Schedule:
    """Learning rate over the run: a linear warm-up, then a decay to 0 at the run's end, whichever comes first.

    In a run with a time budget the rate follows the clock. Once the run was interrupted it follows the steps, as
    many as the budget allows at the speed recorded so far: a resumed run depends on what was recorded alone.

    Parameters
    ----------
    optimizer
        Its learning rate is the peak.
    max_minutes
        The run ends after this long, validation included; 0 or None for no limit but the trainer's epochs.
    decay
        ``"cosine"``; ``"poly"``, (1 - progress)^0.9; ``"constant"``; or ``"plateau"``, halved when the
        validation Dice has not improved for `patience` validations (torch's ``ReduceLROnPlateau``).
    warmup
        Share of the run in which the rate rises from 0.
    """

    DECAYS = ("cosine", "poly", "constant", "plateau")

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        *,
        max_minutes: float | None = None,
        decay: str = "cosine",
        warmup: float = 0.02,
        patience: int = 5,
    ) -> None:
        if decay not in self.DECAYS:
            raise InputError("CONFIG_BAD_VALUE", f"--decay {decay!r}: {', '.join(self.DECAYS)} are known")
        self.optimizer, self.decay, self.warmup = optimizer, decay, warmup
        self.budget_s = math.inf if not max_minutes else 60.0 * float(max_minutes)
        self.peak = [group["lr"] for group in optimizer.param_groups]
        self.plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(
            optimizer, mode="max", factor=0.5, patience=patience
        )
        self.earlier_s = 0.0
        self.started: float | None = None
        self.steps = 0
        self.planned_steps: int | None = None  # of an interrupted run with a budget

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.STARTED, self._start)
        engine.add_event_handler(Events.ITERATION_STARTED, self._set_rate)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._end_in_time)

    def _start(self) -> None:
        self.started = time.monotonic()

    @property
    def elapsed_s(self) -> float:
        """Seconds trained so far, those before a resume included."""
        return self.earlier_s + (time.monotonic() - self.started if self.started is not None else 0.0)

    def is_over(self) -> bool:
        """Say whether the budget is used up."""
        if self.planned_steps is None:
            return self.elapsed_s >= self.budget_s
        return self.steps >= self.planned_steps or self.elapsed_s >= LATE * self.budget_s

    def progress(self, engine: Engine) -> float:
        """Return how much of the run lies before the current iteration, 0 to 1, by iterations or by time."""
        done = engine.state.iteration - 1
        by_budget = done / self.planned_steps if self.planned_steps else self.elapsed_s / self.budget_s
        return min(1.0, max(done / (engine.state.max_epochs * engine.state.epoch_length), by_budget))

    def factor(self, progress: float) -> float:
        """Return the learning rate as a share of its peak."""
        rising = min(1.0, (progress + 1e-3) / self.warmup) if self.warmup > 0 else 1.0
        falling = {"cosine": 0.5 * (1 + math.cos(math.pi * progress)), "poly": (1 - progress) ** 0.9}
        return rising * falling.get(self.decay, 1.0)

    def _set_rate(self, engine: Engine) -> None:
        progress = self.progress(engine)
        if self.decay == "plateau" and progress > self.warmup:
            return
        for group, peak in zip(self.optimizer.param_groups, self.peak, strict=True):
            group["lr"] = peak * self.factor(progress)

    def _end_in_time(self, engine: Engine) -> None:
        self.steps = engine.state.iteration
        if self.is_over():
            engine.terminate()

    def validated(self, metric: float) -> None:
        """Tell the plateau schedule of a validation."""
        if self.decay == "plateau":
            self.plateau.step(metric)

    def state_dict(self) -> dict[str, Any]:
        plateau = {k: self.plateau.state_dict()[k] for k in ("best", "num_bad_epochs", "last_epoch")}
        planned = None if self.planned_steps is None else [self.budget_s, self.planned_steps]
        return {"elapsed_s": self.elapsed_s, "steps": self.steps, "planned": planned, "plateau": plateau}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.earlier_s, self.steps = state["elapsed_s"], state.get("steps", 0)
        self.plateau.load_state_dict({**self.plateau.state_dict(), **state["plateau"]})
        budget_s, planned = state.get("planned") or (None, None)
        if self.budget_s < math.inf and self.steps and self.earlier_s > 0:
            at_this_speed = math.floor(self.steps * self.budget_s / self.earlier_s)
            self.planned_steps = planned if budget_s == self.budget_s else max(1, at_this_speed)
