"""Validation, the best and the last weights, and a resumed run that takes the steps of an unbroken one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Engine, Events

from medseg.bundle import with_training_images
from medseg.files import write_torch
from medseg.read import TrainingImages
from medseg.training.datasets import EpochSampler, derived_seed
from medseg.training.schedule import Schedule
from medseg.training.weight_average import WeightAverage

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
    Dice; ``last.pt`` is all that a run needs to go on: a resumed run takes the steps of the unbroken one. Both
    hold what the training images are like (`images`), for `medseg.bundle.training_images`.
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
        self.validated_at = 0

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.STARTED, self._load)
        engine.add_event_handler(Events.EPOCH_STARTED, self._seed_epoch)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._epoch_done)
        engine.add_event_handler(Events.COMPLETED, self._validate)

    def _load(self, engine: Engine) -> None:
        last = self.models / "last.pt"
        if self.resume and last.is_file():
            state = torch.load(last, map_location="cpu", weights_only=True)
            self.state.load_state_dict(state)
            self.best = state["best"]
            engine.state.epoch = self.validated_at = state["epoch"]
            engine.state.iteration = state["epoch"] * engine.state.epoch_length
            if self.state.schedule.elapsed_s >= self.state.schedule.budget_s:
                engine.terminate()
        self.sampler.epoch = engine.state.epoch + 1

    def _seed_epoch(self, engine: Engine) -> None:
        torch.manual_seed(derived_seed(self.sampler.dataset.seed, engine.state.epoch))  # for dropout

    def _epoch_done(self, engine: Engine) -> None:
        self.sampler.epoch = engine.state.epoch + 1
        if engine.state.epoch % self.interval == 0:
            self._validate(engine)

    def _validate(self, engine: Engine) -> None:
        epoch = engine.state.epoch
        if epoch == self.validated_at:
            return
        self.validated_at = epoch
        self.evaluator.run()
        metrics = {name: round(value, 5) for name, value in self.evaluator.state.metrics.items()}
        self.state.schedule.validated(metrics[KEY_METRIC])
        if metrics[KEY_METRIC] > self.best[KEY_METRIC]:
            self.best = {"epoch": epoch, **metrics}
            write_torch(self.models / "best.pt", self._described(self.state.average.network.state_dict()))
        state = self.state.state_dict()
        state["network"] = self._described(state["network"])
        write_torch(self.models / "last.pt", {**state, "best": self.best, "epoch": epoch})

    def _described(self, state: Any) -> Any:
        return state if self.images is None else with_training_images(state, self.images)
