"""What goes wrong while a case is read, where reader processes can import it."""

import ctypes
import os
import signal
import time
from pathlib import Path

import numpy as np

from medseg.prediction.manifest import begun, failures_in


def misbehave(name: str) -> None:
    """Do what a file's name says."""
    if "segfault" in name:
        os.kill(os.getpid(), signal.SIGSEGV)
    elif "exit" in name:
        os._exit(3)
    elif "killed" in name:
        os.kill(os.getpid(), signal.SIGKILL)
    elif "hang" in name:
        time.sleep(600)
    elif "deaf" in name:  # as a decoder that loops for ever: nothing of Python runs beside it
        ctypes.PyDLL(None).sleep(600)


def read(case):
    """Stand for reading and preprocessing, without MONAI."""
    record = begun(case)
    with failures_in(record):
        misbehave(case["id"])
        if "bad" in case["id"]:
            raise RuntimeError("Secret^Patient")
        return record, np.full((3, 4, 5), len(case["id"]), np.float32)
    return record, None


class Misbehave:
    """A step of preprocessing that does what the image's file name says."""

    def __call__(self, data):
        misbehave(Path(data["image"].source[0]).name)
        return data
