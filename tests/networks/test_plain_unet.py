"""nnU-Net's plain UNet keeps the contract of every network, and trains at several resolutions."""

import copy

import pytest
import torch
from project import code_of

from medseg.networks import build
from medseg.networks.plain_unet import dynunet

NUMBERS = {"labels": 3, "features": [4, 8, 16, 32]}


@pytest.mark.parametrize("spatial_dims", [2, 3])
def test_it_maps_patches_to_scores_of_several_resolutions_in_training_alone(spatial_dims):
    patch_size = [32, 48, 16][:spatial_dims]
    network = dynunet(spatial_dims=spatial_dims, patch_size=patch_size, channels=2, **NUMBERS)
    outputs = network(torch.zeros(2, 2, *patch_size))
    assert [list(each.shape) for each in outputs] == [
        [2, 3, *patch_size],
        [2, 3, *(n // 2 for n in patch_size)],
    ]
    sum(each.sum() for each in outputs).backward()
    assert all(p.grad is not None for p in network.parameters())
    scores = copy.deepcopy(network).eval()(torch.zeros(2, 2, *patch_size))
    assert list(scores.shape) == [2, 3, *patch_size]


def test_kernels_and_strides_are_those_given():
    kernels = [[3, 3, 1], [3, 3, 1], [3, 3, 3]]
    strides = [[1, 1, 1], [2, 2, 1], [2, 2, 2]]
    numbers = {"spatial_dims": 3, "labels": 2, "features": [4, 8, 16], "patch_size": [32, 32, 8]}
    network = build(architecture="dynunet", kernels=kernels, strides=strides, **numbers)
    assert list(network.bottleneck.conv1.conv.weight.shape[2:]) == [3, 3, 3]
    assert list(network.input_block.conv1.conv.weight.shape[2:]) == [3, 3, 1]
    scores = network(torch.zeros(1, 1, 32, 32, 8))  # three levels have no coarser output that counts
    assert list(scores.shape) == [1, 2, 32, 32, 8]
    for wrong in ({"strides": strides[:2]}, {"kernels": [[3, 3]] * 3}, {"features": [4, 8]}):
        assert code_of(dynunet, **{**numbers, **wrong}) == "CONFIG_BAD_VALUE"
    assert code_of(build, architecture="vnet") == "CONFIG_BAD_VALUE"
