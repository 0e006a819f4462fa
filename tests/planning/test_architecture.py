"""The network for a patch: as deep as its axes allow, and buildable."""

import pytest
import torch

from medseg.networks import build
from medseg.planning.architecture import choose_architecture, halved
from medseg.planning.choices import Choices


def network_for(size, spacing_mm, full=True, **given):
    chosen = Choices(given)
    chosen.take("full_resolution", full, "test")
    return choose_architecture(2, 3, size, spacing_mm, 4, "cpu", chosen)


@pytest.mark.parametrize(
    ("size", "spacing_mm", "full"),
    [((40, 56, 40), (1, 1, 1), True), ((32, 32, 10), (1, 1, 8), True), ((64, 48), (1, 1), True),
     ((64, 64, 16), (1, 1, 4), False), ((8, 8, 7), (1, 1, 1), True), ((30, 20, 10), (1, 1, 1), True)],
)  # fmt: skip
def test_it_gives_scores_for_each_voxel(size, spacing_mm, full):
    numbers = network_for(size, spacing_mm, full)
    network = build(patch_size=size, **numbers).eval()
    with torch.no_grad():
        assert network(torch.zeros(1, 2, *size)).shape == (1, 3, *size)


def test_nnunets_network_of_the_hippocampus():
    numbers = network_for((40, 56, 40), (1, 1, 1))
    assert numbers["architecture"] == "dynunet"
    assert numbers["strides"] == [[1, 1, 1], *[[2, 2, 2]] * 3]
    assert numbers["features"] == [4, 8, 16, 32]


def test_a_given_patch_is_halved_as_often_as_it_divides():
    assert len(halved((40, 40, 36), (1, 1, 1)).strides) == 3
    assert len(halved((15, 15, 15), (1, 1, 1)).strides) == 1
