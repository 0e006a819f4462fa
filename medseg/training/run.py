"""Run the trainer, and record its outcome."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

from ignite.engine import Engine

from medseg.files import write_json
from medseg.training.checkpoints import Checkpoints

log = logging.getLogger(__name__)


def train(trainer: Engine, checkpoints: Checkpoints, output_dir: str | Path) -> dict[str, Any]:
    """Run the trainer and return the run's record, with its outcome added to ``run.json``."""
    trainer.run()
    path = Path(output_dir) / "run.json"
    record = json.loads(path.read_text(encoding="utf-8"))
    record["outcome"] = {
        "epochs": trainer.state.epoch,
        "minutes": round(checkpoints.state.schedule.elapsed_s / 60, 2),
        "best": checkpoints.best,
    }
    write_json(path, record)
    log.info("best epoch %(epoch)d: Dice %(dice).4f, HD95 %(hd95_mm).2f mm", checkpoints.best)
    log.info("%s minutes; models/, tensorboard/ and run.json are in %s", record["outcome"]["minutes"], output_dir)
    return record
