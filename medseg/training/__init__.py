"""What MONAI's trainer lacks: augmentation drawn per case, schedule, time budget, exact resume, record, log."""

from medseg.training.augment import augmentation
from medseg.training.checkpoints import Checkpoints, RunState
from medseg.training.datasets import AugmentedDataset, EpochSampler
from medseg.training.images import describe_images
from medseg.training.log import TrainingLog
from medseg.training.outputs import check_output
from medseg.training.run import train
from medseg.training.run_record import open_run
from medseg.training.schedule import Schedule
from medseg.training.start import start_network
from medseg.training.stop import ignore_interrupts
from medseg.training.weight_average import WeightAverage

__all__ = [
    "AugmentedDataset",
    "Checkpoints",
    "EpochSampler",
    "RunState",
    "Schedule",
    "TrainingLog",
    "WeightAverage",
    "augmentation",
    "check_output",
    "describe_images",
    "ignore_interrupts",
    "open_run",
    "start_network",
    "train",
]
