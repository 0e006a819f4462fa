"""Run the trainer, record its outcome, and leave a bundle."""

from __future__ import annotations

import json
import logging
import shlex
import signal
from pathlib import Path
from typing import Any

from ignite.engine import Engine

from medseg.errors import Stopped
from medseg.files import write_json
from medseg.training.checkpoints import Checkpoints, epoch_of
from medseg.training.expectation import tell_expectation
from medseg.training.log_file import close_log
from medseg.training.result import write_bundle

log = logging.getLogger(__name__)


def train(
    trainer: Engine, checkpoints: Checkpoints, output_dir: str | Path, bundle: str | Path | None = None
) -> dict[str, Any]:
    """Run the trainer and return the run's record, with its outcome added to ``run.json``.

    Parameters
    ----------
    bundle
        What is trained; its configs, with the best weights, make `output_dir` a bundle. None for no bundle.

    Raises
    ------
    Stopped
        Ctrl-C or SIGTERM: ``last.pt`` is written, and the same call goes on from it.
    """
    try:
        tell_expectation(trainer, checkpoints)
        with checkpoints.stop.caught():
            trainer.run()
        return _finish(trainer, checkpoints, Path(output_dir), bundle)
    finally:
        close_log()


def _finish(
    trainer: Engine, checkpoints: Checkpoints, output_dir: Path, bundle: str | Path | None
) -> dict[str, Any]:
    record = _add_outcome(trainer, checkpoints, output_dir / "run.json")
    best, minutes = checkpoints.best, record["outcome"]["minutes"]
    if best["epoch"]:
        log.info("best epoch %(epoch)d: Dice %(dice).4f, HD95 %(hd95_mm).2f mm", best)
    if bundle is not None and best["epoch"]:
        write_bundle(output_dir, bundle, record)
        log.info(
            "%s minutes; %s is a bundle now. To use it:\nmedseg predict %s INPUT OUTPUT",
            minutes,
            *(output_dir, shlex.quote(str(output_dir))),
        )
    if checkpoints.stop:
        place = f"after step {trainer.state.iteration}, in epoch {epoch_of(trainer)}, {minutes} minutes"
        log.info("stopped %s", place)
        raise Stopped(
            f"{place}; {checkpoints.models / 'last.pt'} is written, and the same line goes on from there",
            checkpoints.stop.signal_number or signal.SIGINT,
        )
    return record


def _add_outcome(trainer: Engine, checkpoints: Checkpoints, path: Path) -> dict[str, Any]:
    record = json.loads(path.read_text(encoding="utf-8"))
    record["outcome"] = {
        "finished": not checkpoints.stop,
        "epochs": epoch_of(trainer),
        "steps": trainer.state.iteration,
        "minutes": round(checkpoints.state.schedule.elapsed_s / 60, 2),
        "best": checkpoints.best,
    }
    write_json(path, record)
    return record
