"""One case end to end (`case`), many that nothing breaks (`run`, `batch`), and a model kept in memory (`model`).

`reader_processes` read where a file may crash or hang; `manifest` records each attempt, `finished` tells what is
left, `outputs` where results may go.
"""

from typing import TYPE_CHECKING

from medseg.lazy import lazy_names
from medseg.prediction.batch import stopped_by_sigterm
from medseg.prediction.finished import records_if_finished
from medseg.prediction.manifest import read_newest

if TYPE_CHECKING:
    from medseg.prediction.model import as_volume, open_model
    from medseg.prediction.run import fail_if_any, predict_cases

__all__ = [
    "as_volume",
    "fail_if_any",
    "open_model",
    "predict_cases",
    "read_newest",
    "records_if_finished",
    "stopped_by_sigterm",
]
__getattr__ = lazy_names(
    __name__, {"as_volume": "model", "open_model": "model", "fail_if_any": "run", "predict_cases": "run"}
)
