"""Learning rate and time budget."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from medseg import InputError
from medseg.training.schedule import Schedule


def optimizer(rate: float = 1.0) -> torch.optim.Optimizer:
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=rate)


@pytest.mark.parametrize("decay", ["cosine", "poly"])
def test_rate_rises_then_falls_to_zero(decay):
    schedule = Schedule(optimizer(), decay=decay, warmup=0.1)
    rates = [schedule.factor(p) for p in np.linspace(0, 1, 101)]
    assert rates[0] < 0.02
    assert max(rates) > 0.85
    assert (np.diff(rates[:10]) > 0).all()
    assert (np.diff(rates[11:]) < 0).all()
    assert rates[-1] == pytest.approx(0, abs=1e-9)


def test_plateau_halves_the_rate_when_validation_stalls():
    opt = optimizer()
    schedule = Schedule(opt, decay="plateau", patience=2)
    for dice in (0.5, 0.6, 0.6, 0.6, 0.6):
        schedule.validated(dice)
    assert opt.param_groups[0]["lr"] == 0.5
    other = Schedule(optimizer(), decay="plateau", patience=2)
    other.load_state_dict(schedule.state_dict())
    assert other.plateau.best == 0.6


def test_unknown_decay_is_named():
    with pytest.raises(InputError, match="'linear'"):
        Schedule(optimizer(), decay="linear")


def test_time_and_epochs_both_count_as_progress():
    engine = SimpleNamespace(state=SimpleNamespace(max_epochs=10, epoch_length=10, iteration=51))
    assert Schedule(optimizer()).progress(engine) == 0.5
    timed = Schedule(optimizer(), max_minutes=1)
    timed.earlier_s = 45
    assert timed.progress(engine) == pytest.approx(0.75)
