"""Folders of label maps to means with intervals, subgroups and two models compared; the same as MONAI metrics."""

from typing import TYPE_CHECKING

from medseg.evaluation.run import evaluate_bundle, evaluate_cases, evaluate_folders
from medseg.evaluation.settings import Options
from medseg.lazy import lazy_names

if TYPE_CHECKING:
    from medseg.evaluation.monai_metrics import SegmentationMetric, SegmentationMetricHandler

__all__ = [
    "Options",
    "SegmentationMetric",
    "SegmentationMetricHandler",
    "evaluate_bundle",
    "evaluate_cases",
    "evaluate_folders",
]
__getattr__ = lazy_names(
    __name__, dict.fromkeys(("SegmentationMetric", "SegmentationMetricHandler"), "monai_metrics")
)
