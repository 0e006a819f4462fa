"""What MONAI's trainer lacks: augmentation drawn per case, schedule, time budget, exact resume, record, log."""

from medseg.training.augment import augmentation
from medseg.training.case_cache import CachedCases
from medseg.training.checkpoints import Checkpoints, RunState
from medseg.training.datasets import AugmentedDataset, EpochSampler
from medseg.training.early_stopping import EarlyStopping
from medseg.training.fast_norms import FastNorms
from medseg.training.images import describe_images
from medseg.training.log import TrainingLog
from medseg.training.losses import segmentation_loss
from medseg.training.optimizers import GradientClipping, make_optimizer
from medseg.training.outputs import check_output
from medseg.training.result import copy_configs, write_readme
from medseg.training.run import train
from medseg.training.run_record import open_run
from medseg.training.schedule import Schedule
from medseg.training.settings import setting
from medseg.training.start import start_network
from medseg.training.stop import ignore_interrupts
from medseg.training.weight_average import WeightAverage

__all__ = [
    "AugmentedDataset",
    "CachedCases",
    "Checkpoints",
    "EarlyStopping",
    "EpochSampler",
    "FastNorms",
    "GradientClipping",
    "RunState",
    "Schedule",
    "TrainingLog",
    "WeightAverage",
    "augmentation",
    "check_output",
    "copy_configs",
    "describe_images",
    "ignore_interrupts",
    "make_optimizer",
    "open_run",
    "segmentation_loss",
    "setting",
    "start_network",
    "train",
    "write_readme",
]
