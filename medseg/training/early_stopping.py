"""A run that ends where validations no longer improve."""

from __future__ import annotations

from ignite.engine import Engine, Events

from medseg.training.checkpoints import Checkpoints


class EarlyStopping:
    """End the run after `patience` validations without a better one; 0 never does.

    It is asked after `checkpoints`, and keeps nothing of its own: a resumed run ends where the unbroken one does.
    """

    def __init__(self, checkpoints: Checkpoints, patience: int) -> None:
        self.checkpoints, self.patience = checkpoints, patience

    def attach(self, engine: Engine) -> None:
        if self.patience:
            engine.add_event_handler(Events.STARTED | Events.EPOCH_COMPLETED, self._end)

    def _end(self, engine: Engine) -> None:
        best, interval = self.checkpoints.best["epoch"], self.checkpoints.interval
        validations = engine.state.epoch // interval - best // interval
        if best and validations >= self.patience:
            engine.terminate()
