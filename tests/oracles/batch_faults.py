"""What goes wrong while a case is read, where reader processes can import it."""

import ctypes
import os
import signal
import time
from pathlib import Path

import numpy as np

from medseg.prediction.record import attempt, begun


def misbehave(name: str, mark: Path) -> None:
    """Do what a file's name says; what never comes back leaves a mark before."""
    if "segfault" in name:
        os.kill(os.getpid(), signal.SIGSEGV)
    elif "exit" in name:
        os._exit(3)
    elif "killed" in name:
        os.kill(os.getpid(), signal.SIGKILL)
    elif "hang" in name:
        mark.touch()
        time.sleep(3600)
    elif "deaf" in name:  # as a decoder that loops for ever: nothing of Python runs beside it
        library = ctypes.PyDLL(None)
        mark.touch()
        library.sleep(3600)


def read(case):
    """Stand for reading and preprocessing, without MONAI; the image's path is that of the mark."""
    return attempt(begun(case), "read", voxels_of, case)


def voxels_of(case):
    misbehave(case["id"], Path(case["image"]))
    if "bad" in case["id"]:
        raise RuntimeError("Secret^Patient")
    return np.full((3, 4, 5), len(case["id"]), np.float32)


class Misbehave:
    """A step of preprocessing that does what the image's file name says."""

    def __call__(self, data):
        path = Path(data["image"].source[0])
        misbehave(path.name, path.with_suffix(".mark"))
        return data
