"""The running mean of the weights."""

import pytest
import torch

from medseg.training.weight_average import WeightAverage


def test_the_mean_follows_at_once_and_then_slowly():
    network = torch.nn.BatchNorm1d(1)
    average = WeightAverage(network, decay=0.9)
    values = []
    for step in range(200):
        network.weight.data.fill_(5.0 if step < 100 else 7.0)
        average.update()
        values.append(average.network.weight.item())
    assert values[0] == 5
    assert 5.1 < values[100] < 5.3
    assert values[199] == pytest.approx(7, abs=0.01)
    assert network.weight.item() == 7
    assert not average.network.weight.requires_grad

    other = WeightAverage(torch.nn.BatchNorm1d(1), decay=0.9)
    other.load_state_dict(average.state_dict())
    assert other.network.weight.item() == values[199]
    following = WeightAverage(network, decay=0.0)
    following.update()
    assert following.network.weight.item() == 7
