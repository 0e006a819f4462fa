"""Copies of a network that are made where they are to run."""

import torch
from monai.networks.nets import BasicUNet
from torch import nn

from medseg.infer.copies import candidates, copy_on, fused

META = torch.device("meta")  # stands for a device whose memory the other's must not be taken for


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1)
        self.second.weight = self.first.weight
        self.register_buffer("scale", torch.ones(1))


def test_a_copy_for_another_device_takes_nothing_of_this_one():
    """After out-of-memory on a GPU, the copy for the CPU is made there."""
    network = Tied().eval()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    moved = copy_on(network, META)
    assert all(tensor.is_meta for tensor in (*moved.parameters(), *moved.buffers()))
    assert moved.first.weight is moved.second.weight
    assert isinstance(moved.first.weight, nn.Parameter)
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    here = copy_on(network, torch.device("cpu"))
    assert torch.equal(here.first.weight, network.first.weight)
    assert here.first.weight is not network.first.weight


def test_what_is_made_for_a_device_lies_there():
    network = BasicUNet(3, 1, 2, features=(4, 4, 4, 4, 4, 4)).eval()
    for made in (
        fused(network, META, torch.float32),
        *(make() for make in candidates(network, META, torch.float32)),
    ):
        assert all(tensor.is_meta for tensor in (*made.parameters(), *made.buffers()))
