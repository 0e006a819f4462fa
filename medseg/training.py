"""What MONAI's trainer lacks: checkpoints that a run resumes from exactly, provenance."""

from __future__ import annotations

import json
import logging
import platform
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import monai
import torch
from ignite.engine import Engine, Events

from medseg.augment import EpochSampler, derived_seed
from medseg.errors import InputError
from medseg.infer import choose_device, fast_dtype
from medseg.training_schedule import Schedule, WeightAverage
from medseg.write import write_json, write_torch

KEY_METRIC = "dice"
log = logging.getLogger(__name__)


class Checkpoints:
    """Validate every `interval` epochs and at the end; keep ``best.pt`` and ``last.pt``; resume from that.

    What is validated is the running mean of the weights. ``best.pt`` is its state dict at the best validation
    Dice; ``last.pt`` is all that a run needs to go on: a resumed run takes the steps of the unbroken one.
    """

    def __init__(
        self,
        output_dir: str | Path,
        *,
        network: torch.nn.Module,
        optimizer: torch.optim.Optimizer,
        schedule: Schedule,
        average: WeightAverage,
        sampler: EpochSampler,
        evaluator: Engine,
        interval: int,
        resume: bool = True,
    ) -> None:
        self.models = Path(output_dir) / "models"
        self.network, self.optimizer, self.schedule = network, optimizer, schedule
        self.average, self.sampler, self.evaluator = average, sampler, evaluator
        self.interval, self.resume = interval, resume
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
            self.network.load_state_dict(state["network"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.schedule.load_state_dict(state["schedule"])
            self.average.load_state_dict(state["average"])
            self.best = state["best"]
            engine.state.epoch = self.validated_at = state["epoch"]
            engine.state.iteration = state["epoch"] * engine.state.epoch_length
            if self.schedule.elapsed_s >= self.schedule.budget_s:
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
        self.schedule.validated(metrics[KEY_METRIC])
        if metrics[KEY_METRIC] > self.best[KEY_METRIC]:
            self.best = {"epoch": epoch, **metrics}
            write_torch(self.models / "best.pt", self.average.network.state_dict())
        write_torch(
            self.models / "last.pt",
            {
                "network": self.network.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "schedule": self.schedule.state_dict(),
                "average": self.average.state_dict(),
                "best": self.best,
                "epoch": epoch,
            },
        )


def open_run(output_dir: str | Path, settings: Mapping[str, Any], *, device: str, resume: bool) -> dict[str, Any]:
    """Record how a run is made in ``OUTPUT_DIR/run.json``, or check that a resumed one is made the same way.

    Raises
    ------
    InputError
        `RUN_DIFFERENT_SETTINGS`: the run there was started with other values.
    """
    path = Path(output_dir) / "run.json"
    chosen = choose_device(device)
    settings = json.loads(json.dumps(settings))
    if resume and path.is_file() and (path.parent / "models" / "last.pt").is_file():
        record = json.loads(path.read_text(encoding="utf-8"))
        for key, value in settings.items():
            before = record["settings"].get(key)
            if before != value:
                raise InputError(
                    "RUN_DIFFERENT_SETTINGS",
                    f"{output_dir} holds a run with {key} = {before}, not {value}; "
                    "choose another --output_dir, or --resume False to start it anew",
                )
        return record
    record = {
        "started": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "settings": settings,
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "monai": monai.__version__,
        },
        "machine": {
            "processor": torch.cpu.get_capabilities().get("cpu_name", platform.processor()),
            "threads": torch.get_num_threads(),
            "device": torch.cuda.get_device_name(chosen) if chosen.type == "cuda" else "cpu",
            "fast_precision": str(fast_dtype(chosen.type)).removeprefix("torch."),
        },
    }
    write_json(path, record)
    return record


def train(trainer: Engine, checkpoints: Checkpoints, output_dir: str | Path) -> dict[str, Any]:
    """Run the trainer and return the run's record, with its outcome added to ``run.json``."""
    trainer.run()
    path = Path(output_dir) / "run.json"
    record = json.loads(path.read_text(encoding="utf-8"))
    record["outcome"] = {
        "epochs": trainer.state.epoch,
        "minutes": round(checkpoints.schedule.elapsed_s / 60, 2),
        "best": checkpoints.best,
    }
    write_json(path, record)
    log.info("best epoch %(epoch)d: Dice %(dice).4f, HD95 %(hd95_mm).2f mm", checkpoints.best)
    log.info("%s minutes; models/, tensorboard/ and run.json are in %s", record["outcome"]["minutes"], output_dir)
    return record
