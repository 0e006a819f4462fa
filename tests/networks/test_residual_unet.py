"""Every network from the same few numbers keeps its contract."""

import pytest
import torch

from medseg.networks.residual_unet import unet, unet_strides


@pytest.mark.parametrize("spatial_dims", [2, 3])
@pytest.mark.parametrize("full_resolution", [False, True])
@pytest.mark.parametrize("normalization", ["instance", "batch"])
def test_unet_maps_patches_to_scores(spatial_dims, full_resolution, normalization):
    patch_size = [32, 40, 24][:spatial_dims]
    network = unet(
        spatial_dims=spatial_dims,
        labels=3,
        features=[4, 8, 16],
        patch_size=patch_size,
        full_resolution=full_resolution,
        normalization=normalization,
        dropout=0.1,
    )
    scores = network(torch.zeros(2, 1, *patch_size))
    assert scores.shape == (2, 3, *patch_size)
    scores.sum().backward()
    assert all(p.grad is not None for p in network.parameters())


def test_strides_stop_where_an_axis_gets_thin():
    assert unet_strides([32, 40, 24], 4) == [(2, 2, 2), (2, 2, 2), (2, 2, 1)]
    assert unet_strides([64, 64, 8], 4) == [(2, 2, 2), (2, 2, 1), (2, 2, 1)]
    with pytest.raises(ValueError, match="levels"):
        unet_strides([12, 12], 5)


def test_wrong_numbers_are_named():
    with pytest.raises(ValueError, match="axes"):
        unet(spatial_dims=3, labels=2, features=[4, 8], patch_size=[16, 16])
    with pytest.raises(ValueError, match="'group'"):
        unet(spatial_dims=2, labels=2, features=[4, 8], patch_size=[16, 16], normalization="group")


def test_the_activation_is_the_one_given():
    numbers = {"spatial_dims": 2, "labels": 2, "features": [4, 8], "patch_size": [16, 16]}
    kinds = [
        {type(module).__name__ for module in unet(**numbers, **given).modules()}
        for given in ({}, {"activation": "leakyrelu"})
    ]
    assert "PReLU" in kinds[0] - kinds[1]
    assert "LeakyReLU" in kinds[1] - kinds[0]
    with pytest.raises(ValueError, match="'gelu'"):
        unet(**numbers, activation="gelu")
