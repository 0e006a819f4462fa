"""medseg: train, run and judge CT and MR segmentation models as MONAI bundles.

A study flows through the modules in this order::

    cases        find cases, split them, check them
    read         NIfTI, DICOM and others to an array and its RAS+ affine, or a refusal by name;
                 codes lists the names, inspection shows what would be read
    preprocess   the one definition of preprocessing (resample turns and resamples); augment adds
                 what training varies
    networks     UNet in 2D and 3D from a few numbers
    training     what MONAI's trainer lacks: validation in mm, checkpoints, resume; beside it
                 training_schedule (learning rate, time budget, running mean) and training_log
    infer        MONAI's inferers, faster: windows in order (windows, engine), in a network fused for
                 the device (fused, subpixel, trimmed)
    segmentation a preprocessed image to labels on its own grid, in as much memory as there is:
                 ways to run it and what each takes (ways, memory), slabs to the native grid
                 (native), how sure the network was (confidence)
    postprocess  components; the same way back as a MONAI transform
    prediction   one case end to end, and many: overlapped (batch), read by processes that may
                 crash (readers), recorded line by line (manifest), taken up again (resume)
    model        a bundle's model kept in memory, for arrays
    results      one case's result in the formats asked for
    write        NIfTI, DICOM SEG, RTSTRUCT, each there whole or not at all
    metrics      Dice, HD95 and others on arrays, all labels in one pass; monai_metrics is the same as
                 a MONAI metric and a handler for training
    evaluation   folders of label maps (label_maps: their ids and grids) to means with intervals, subgroups
                 and two models compared
    report       the page that people look at, with pictures of the worst cases
    bundle       open, check and run a bundle's configs
    public_data  fetch a public data set, whole or not at all
    cli          the commands, and the tables they print (tables); api their twins in Python

The public verbs are `train`, `predict` and `evaluate`; `read_study`, `read_volume` and `metrics.compare`
serve scripts.
"""

from importlib import import_module
from typing import Any

from medseg.api import download, evaluate, inspect, predict, train
from medseg.errors import InputError

__version__ = "0.1.0"
__all__ = ["InputError", "download", "evaluate", "inspect", "predict", "read_study", "read_volume", "train"]


def __getattr__(name: str) -> Any:
    """Import a module when it is first used: MONAI and torch cost seconds that ``--help`` should not."""
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
