"""What a run expects of itself: how many steps and epochs, in how many minutes."""

from __future__ import annotations

import logging
import math
import time

from ignite.engine import Engine, Events

from medseg.training.checkpoints import Checkpoints

log = logging.getLogger(__name__)

MEASURED_STEPS = 20  # after one that warms up


def tell_expectation(trainer: Engine, checkpoints: Checkpoints) -> None:
    """Say what limits a run, and after `MEASURED_STEPS` steps how far it is expected to get."""
    schedule = checkpoints.state.schedule
    started: list[float] = []

    def limits(engine: Engine) -> None:
        epochs, length = engine.state.max_epochs, engine.state.epoch_length
        minutes = "no limit in minutes" if schedule.budget_s == math.inf else f"{schedule.budget_s / 60:g} minutes"
        log.info(
            "at most %d epochs of %d steps, and %s; validated every %d epochs",
            *(epochs, length, minutes, checkpoints.interval),
        )

    def measure(engine: Engine) -> None:
        started.append(time.monotonic())
        if len(started) == MEASURED_STEPS + 1:
            engine.remove_event_handler(measure, Events.ITERATION_COMPLETED)
            step_s = (started[-1] - started[0]) / MEASURED_STEPS
            log.info("%s", _expected(engine, step_s))

    def _expected(engine: Engine, step_s: float) -> str:
        length, done = engine.state.epoch_length, engine.state.iteration
        total = engine.state.max_epochs * length
        left_s = schedule.budget_s - schedule.elapsed_s
        by_budget = schedule.planned_steps or (math.inf if left_s == math.inf else done + left_s / step_s)
        steps = int(min(total, max(done, by_budget)))
        minutes = (schedule.elapsed_s + (steps - done) * step_s) / 60
        return (
            f"{step_s:.2g} s a step: about {steps} steps or {steps / length:.1f} epochs in {minutes:.3g} minutes, "
            "validations aside"
        )

    trainer.add_event_handler(Events.STARTED, limits)
    trainer.add_event_handler(Events.ITERATION_COMPLETED, measure)
