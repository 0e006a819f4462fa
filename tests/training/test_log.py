"""A run does not go on from a loss that is no number."""

from types import SimpleNamespace

import pytest
import torch
from project import code_of

from medseg.training.log import TrainingLog


@pytest.mark.parametrize("loss", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_ends_the_run(loss, tmp_path):
    log = TrainingLog(tmp_path, SimpleNamespace(), colours={})
    engine = SimpleNamespace(state=SimpleNamespace(output={"loss": torch.tensor(loss)}, iteration=3))
    assert code_of(log._iteration, engine) == "RUN_NOT_FINITE"
