"""What a training run shows: a progress bar, and TensorBoard scalars and pictures."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ignite.engine import Engine, Events
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from medseg.cases import Regions, painted, painted_masks
from medseg.errors import InputError
from medseg.report import may_be_shown
from medseg.training.checkpoints import Checkpoints
from medseg.training.pictures import Colours, slice_row


class TrainingLog:
    """Losses, learning rate, validation metrics per label and image/label/prediction slices.

    Parameters
    ----------
    output_dir
        The log goes to its folder ``tensorboard``.
    checkpoints
        Gives the evaluator, the schedule and the best metrics.
    colours
        Of each label, RGB 0 to 255; see `medseg.bundle.label_colours`.
    every
        Iterations between two points of the training curves.
    pictures
        Validation cases shown at each validation.
    regions
        Of a network whose channels are logits of overlapping regions: their ids by name.
    """

    def __init__(
        self,
        output_dir: str | Path,
        checkpoints: Checkpoints,
        *,
        colours: Colours,
        every: int = 10,
        pictures: int = 3,
        regions: Regions | None = None,
    ) -> None:
        self.regions = regions
        self.folder = Path(output_dir) / "tensorboard"
        self.checkpoints, self.colours = checkpoints, colours
        self.every, self.pictures = every, pictures
        self.losses: list[float] = []
        self.shown = 0

    def attach(self, engine: Engine) -> None:
        evaluator = self.checkpoints.evaluator
        engine.add_event_handler(Events.STARTED, self._open)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._iteration)
        evaluator.add_event_handler(Events.ITERATION_COMPLETED, self._validated_case, engine)
        evaluator.add_event_handler(Events.COMPLETED, self._validated, engine)
        engine.add_event_handler(Events.COMPLETED, self._close)
        engine.add_event_handler(Events.EXCEPTION_RAISED, self._close_and_raise)

    def _open(self, engine: Engine) -> None:
        self.writer = SummaryWriter(str(self.folder), purge_step=engine.state.iteration + 1)
        self.bar = tqdm(total=100, desc="training", bar_format="{desc} {bar} {percentage:3.0f}%{postfix}")

    def _iteration(self, engine: Engine) -> None:
        self.losses.append(engine.state.output["loss"].item())
        if not math.isfinite(self.losses[-1]):
            raise InputError(
                "RUN_NOT_FINITE",
                f"the loss of step {engine.state.iteration} is {self.losses[-1]}: nothing that follows would be "
                "right; look for images of extreme values (medseg inspect --voxels), or lower learning_rate",
            )
        if engine.state.iteration % self.every:
            return
        loss = sum(self.losses) / len(self.losses)
        self.losses.clear()
        rate = self.checkpoints.state.optimizer.param_groups[0]["lr"]
        self.writer.add_scalar("train/loss", loss, engine.state.iteration)
        self.writer.add_scalar("train/learning_rate", rate, engine.state.iteration)
        self._show(engine, loss)

    def _show(self, engine: Engine, loss: float) -> None:
        best, schedule = self.checkpoints.best, self.checkpoints.state.schedule
        percent = 100 * schedule.progress(engine)
        left = schedule.elapsed_s * (100 - percent) / max(percent, 0.1)
        text = f"epoch {engine.state.epoch}, loss {loss:.3f}, {left / 60:.1f} min left"
        if best["epoch"]:
            text += f", best Dice {best['dice']:.4f}, HD95 {best['hd95_mm']:.2f} mm (epoch {best['epoch']})"
        self.bar.set_postfix_str(text, refresh=False)
        self.bar.update(percent - self.bar.n)

    def _validated_case(self, evaluator: Engine, trainer: Engine) -> None:
        for item in evaluator.state.output:
            if self.shown < self.pictures and may_be_shown(getattr(item["image"], "meta", {}).get("codes", "")):
                reference, predicted = self._label_maps(item)
                picture = slice_row(item["image"][0].cpu().numpy(), reference, predicted, self.colours)
                self.writer.add_image(
                    f"validation/case_{self.shown}", picture, trainer.state.iteration, dataformats="HWC"
                )
                self.shown += 1

    def _label_maps(self, item: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray]:
        reference, scores = item["label"][0].cpu().numpy().astype("uint8"), item["pred"]
        if not self.regions:
            return reference, scores.argmax(0).to(torch.uint8).cpu().numpy()
        masks = list((scores.as_subclass(torch.Tensor) > 0).cpu().numpy())
        return painted(reference, self.regions), painted_masks(masks, self.regions)

    def _validated(self, evaluator: Engine, trainer: Engine) -> None:
        metrics: Mapping[str, float] = evaluator.state.metrics
        for name, value in metrics.items():
            self.writer.add_scalar(f"validation/{name}", value, trainer.state.iteration)
        self.shown = 0

    def _close(self, _: Engine) -> None:
        self.bar.update(self.bar.total - self.bar.n)
        self.bar.close()
        self.writer.close()

    def _close_and_raise(self, engine: Engine, error: Exception) -> None:
        if hasattr(self, "writer"):
            self._close(engine)
        raise error
