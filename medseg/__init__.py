"""medseg: train, run and judge CT and MR segmentation models as MONAI bundles.

A study flows through the rooms from the top of this list to the bottom; a room's ``__init__`` says what is in it::

    cli          the commands and the tables they print (`__main__`: ``python -m medseg``); `api` holds their twins
    bundle       a bundle's jobs opened, its overrides checked, metadata, labels' codes and colours, weights
    cases        the cases of a data set: found, split, checked; label maps; public data sets
    read         NIfTI, DICOM and others to an array and its RAS+ affine, or a refusal by name
    preprocess   the one definition of preprocessing: orientation, spacing, intensities
    networks     an architecture a file; ensembles
    planning     a data set to a bundle: fingerprint, faults, rules, files
    training     augmentation, schedule, checkpoints, resume, record and log, around MONAI's trainer
    infer        sliding windows, blending, bfloat16, memory, labels on the image's own grid, components
    prediction   one case end to end, and many: a batch, its manifest, what is finished
    write        results: NIfTI, DICOM SEG, RTSTRUCT, probabilities
    metrics      Dice, HD95 and others on arrays
    evaluation   folders of label maps to means, intervals, subgroups; the same as MONAI metrics
    cross_validation   all folds of a data set trained, judged out of fold, joined to one bundle
    report       the page that people look at

Used by several: `errors` (every problem's code once), `files` (there whole or not at all), `geometry`,
`system_memory`, `lazy`. Rooms import what others show in their ``__init__`` alone, and in one direction:
``tests/test_structure.py`` holds the order.
"""

from importlib import import_module
from typing import Any

from medseg.api import download, evaluate, inspect, plan, predict, train
from medseg.errors import InputError

__all__ = [
    "InputError",
    "download",
    "evaluate",
    "inspect",
    "plan",
    "predict",
    "read_study",
    "read_volume",
    "train",
]


def __getattr__(name: str) -> Any:
    """Import a room when it is first used: MONAI and torch cost seconds that ``--help`` should not."""
    if name == "__version__":
        return import_module("importlib.metadata").version("medseg")
    if name in ("read_study", "read_volume"):
        return getattr(import_module("medseg.read"), name)
    if name.startswith("_"):
        raise AttributeError(name)
    try:
        return import_module(f"medseg.{name}")
    except ModuleNotFoundError as error:
        if error.name != f"medseg.{name}":
            raise
        raise AttributeError(f"module 'medseg' has no attribute {name!r}") from None
