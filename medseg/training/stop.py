"""Ctrl-C and SIGTERM wait for the end of a training step, so that a run's state can be written first."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopRequest:
    """Whether a run was asked to stop, and by which signal."""

    def __init__(self) -> None:
        self.signal_number: int | None = None

    def __bool__(self) -> bool:
        return self.signal_number is not None

    def receive(self, number: int, _: FrameType | None = None) -> None:
        """Take the first signal as a wish to stop; a second one ends the program at once."""
        if self:
            raise KeyboardInterrupt
        self.signal_number = number
        print("\nstopping after this step; again to stop at once", flush=True)

    @contextmanager
    def caught(self) -> Iterator[None]:
        """Catch `SIGNALS`, where Python lets this thread."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self.receive) for number in SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def ignore_interrupts(_: int) -> None:
    """Leave Ctrl-C to the main process; a loader's ``worker_init_fn``, for a terminal sends it to all of them."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
