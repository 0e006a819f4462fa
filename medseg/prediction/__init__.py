"""Prediction: one case end to end (`case`), many (`run`, `batch`), a model that stays in memory (`model`).

`reader_processes` read where a file may crash or hang; `manifest` records each attempt, `finished` tells what is
left, `outputs` where results may go.
"""

from typing import TYPE_CHECKING

from medseg.lazy import lazy_names
from medseg.prediction.batch import stopped_by_sigterm
from medseg.prediction.finished import records_if_finished
from medseg.prediction.manifest import read_newest
from medseg.prediction.origin import Origin, origin_of
from medseg.prediction.outputs import check_is_not_input
from medseg.prediction.record import Record
from medseg.prediction.resources import Resources

if TYPE_CHECKING:
    from medseg.prediction.case import Pipeline
    from medseg.prediction.model import open_model
    from medseg.prediction.run import fail_if_any, predict_cases

__all__ = [
    "Origin",
    "Pipeline",
    "Record",
    "Resources",
    "check_is_not_input",
    "fail_if_any",
    "open_model",
    "origin_of",
    "predict_cases",
    "read_newest",
    "records_if_finished",
    "stopped_by_sigterm",
]
__getattr__ = lazy_names(
    __name__,
    {
        "open_model": "model",
        **dict.fromkeys(("fail_if_any", "predict_cases"), "run"),
        "Pipeline": "case",
    },
)
