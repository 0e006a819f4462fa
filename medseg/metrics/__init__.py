"""Overlap, volume and surface distance of two label maps: pure functions on arrays, any number of labels.

Definitions, sources and the values for empty masks stand in `medseg.metrics.table` and
``docs/reference/metrics.md``.
"""

from medseg.metrics.calibration import calibration_error
from medseg.metrics.comparison import compare, hd95_mm
from medseg.metrics.lesions import components
from medseg.metrics.table import (
    DEFAULT_METRICS,
    HD95_DEFINITIONS,
    METRICS,
    check_hd95,
    check_metrics,
    definitions,
    empty_cases,
    lower_is_better,
)

__all__ = [
    "DEFAULT_METRICS",
    "HD95_DEFINITIONS",
    "METRICS",
    "calibration_error",
    "check_hd95",
    "check_metrics",
    "compare",
    "components",
    "definitions",
    "empty_cases",
    "hd95_mm",
    "lower_is_better",
]
