"""Validation, the best and the last weights, and a resumed run that takes the steps of an unbroken one."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Engine, Events

from medseg.bundle import with_training_images
from medseg.errors import InputError
from medseg.files import write_torch
from medseg.read import TrainingImages
from medseg.training.datasets import EpochSampler, derived_seed
from medseg.training.schedule import Schedule
from medseg.training.stop import StopRequest
from medseg.training.weight_average import WeightAverage

log = logging.getLogger(__name__)

KEY_METRIC = "dice"


@dataclass(frozen=True)
class RunState:
    """What a run changes as it trains, and ``last.pt`` holds.

    Attributes
    ----------
    network, optimizer
        What is trained, and by what.
    schedule
        The learning rate and the time that is gone.
    average
        The running mean of the network's weights.
    """

    network: torch.nn.Module
    optimizer: torch.optim.Optimizer
    schedule: Schedule
    average: WeightAverage

    def state_dict(self) -> dict[str, Any]:
        return {each.name: getattr(self, each.name).state_dict() for each in fields(self)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        for each in fields(self):
            getattr(self, each.name).load_state_dict(state[each.name])


class Checkpoints:
    """Validate every `interval` epochs and at the end; keep ``best.pt`` and ``last.pt``; resume from that.

    What is validated is the running mean of the weights. ``best.pt`` is its state dict at the best validation
    Dice; ``last.pt`` is all that a run needs to go on, from within an epoch too: a resumed run takes the steps of
    the unbroken one. Both hold what the training images are like (`images`), for `medseg.bundle.training_images`.

    Attributes
    ----------
    stop
        Once it is set, the run ends after the step, with its state written and without a validation.
    """

    def __init__(
        self,
        output_dir: str | Path,
        *,
        state: RunState,
        sampler: EpochSampler,
        evaluator: Engine,
        interval: int,
        images: TrainingImages | None = None,
        resume: bool = True,
    ) -> None:
        self.models = Path(output_dir) / "models"
        self.state, self.sampler, self.evaluator = state, sampler, evaluator
        self.interval, self.images, self.resume = interval, images, resume
        self.best: dict[str, Any] = {"epoch": 0, KEY_METRIC: -1.0}
        self.validated_at = 0  # iteration
        self.stop = StopRequest()

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.STARTED, self._load)
        engine.add_event_handler(Events.EPOCH_STARTED, self._validate_what_a_stop_left)
        engine.add_event_handler(Events.ITERATION_STARTED, self._seed_step)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._step_done)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._epoch_done)
        engine.add_event_handler(Events.COMPLETED, self._validate)
        self.evaluator.add_event_handler(Events.ITERATION_COMPLETED, self._end_validation)

    def _load(self, engine: Engine) -> None:
        last, length = self.models / "last.pt", engine.state.epoch_length
        if self.resume and last.is_file():
            state = _read(last)
            self.state.load_state_dict(state)
            self.best = state["best"]
            done = state.get("iteration", state["epoch"] * length)
            self.validated_at = state.get("validated_at", done)
            engine.state.iteration, engine.state.epoch = done, done // length
            log.info(
                "goes on after step %d of epoch %d, %.1f minutes trained",
                *(done, epoch_of(engine), self.state.schedule.earlier_s / 60),
            )
            if self.state.schedule.is_over():
                engine.terminate()
        steps = engine.state.iteration % length
        self.sampler.start(engine.state.epoch + 1, steps * engine.state.dataloader.batch_size)

    def _validate_what_a_stop_left(self, engine: Engine) -> None:
        done, length = engine.state.iteration, engine.state.epoch_length
        if done and done % (length * self.interval) == 0:
            self._validate(engine)

    def _seed_step(self, engine: Engine) -> None:
        torch.manual_seed(derived_seed(self.sampler.dataset.seed, engine.state.iteration))  # for dropout

    def _step_done(self, engine: Engine) -> None:
        batches = engine.state.iteration % engine.state.epoch_length
        if self.stop and batches % getattr(engine, "accumulation_steps", 1) == 0:  # no gradient is half-gathered
            engine.terminate()

    def _end_validation(self, evaluator: Engine) -> None:
        if self.stop:
            evaluator.terminate(skip_completed=True)

    def _epoch_done(self, engine: Engine) -> None:
        self.sampler.start(engine.state.epoch + 1)
        if engine.state.epoch % self.interval == 0:
            self._validate(engine)

    def _validate(self, engine: Engine) -> None:
        if engine.state.iteration == self.validated_at and not self.stop:
            return
        if not self.stop:
            self.evaluator.run()
        if self.stop:
            engine.terminate()
        else:
            self._keep_best(engine)
        state = self.state.state_dict()
        state["network"] = self._described(state["network"])
        place = {"epoch": epoch_of(engine), "iteration": engine.state.iteration}
        write_torch(
            self.models / "last.pt", {**state, **place, "validated_at": self.validated_at, "best": self.best}
        )

    def _keep_best(self, engine: Engine) -> None:
        epoch, self.validated_at = epoch_of(engine), engine.state.iteration
        metrics = {name: round(value, 5) for name, value in self.evaluator.state.metrics.items()}
        self.state.schedule.validated(metrics[KEY_METRIC])
        better = metrics[KEY_METRIC] > self.best[KEY_METRIC]
        log.info(
            "epoch %d, step %d, %.1f minutes: Dice %.4f, HD95 %.2f mm%s",
            *(epoch, engine.state.iteration, self.state.schedule.elapsed_s / 60),
            *(metrics[KEY_METRIC], metrics.get("hd95_mm", float("nan")), ", the best so far" if better else ""),
        )
        if better:
            self.best = {"epoch": epoch, **metrics}
            write_torch(self.models / "best.pt", self._described(self.state.average.network.state_dict()))

    def _described(self, state: Any) -> Any:
        return state if self.images is None else with_training_images(state, self.images)


def _read(last: Path) -> dict[str, Any]:
    try:
        return torch.load(last, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises what the broken bytes led it to
        raise InputError(
            "FILE_UNREADABLE",
            f"{last} is damaged ({type(error).__name__}), so the run cannot go on; delete it to start anew",
        ) from error


def epoch_of(engine: Engine) -> int:
    """Return the epoch that the last step was of, counted from 1."""
    return -(-engine.state.iteration // engine.state.epoch_length)
