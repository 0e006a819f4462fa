"""Every network from the same few numbers keeps its contract."""

import pytest
import torch

from medseg.infer.fused import fused
from medseg.infer.inferers import window_inferer
from medseg.networks.ensemble import Ensemble
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


def test_an_ensemble_is_the_mean_of_probabilities_over_members_and_mirrorings():
    torch.manual_seed(0)
    members = [torch.nn.Conv3d(1, 3, 3, padding=1) for _ in range(2)]
    image = torch.randn(1, 1, 6, 7, 8)
    passes = [
        member(image.flip(axes)).softmax(dim=1).flip(axes) for member in members for axes in ([], [2], [4], [2, 4])
    ]
    torch.testing.assert_close(Ensemble(members, mirror_axes=[0, 2])(image), torch.stack(passes).mean(dim=0))
    traced = fused(Ensemble(members, mirror_axes=[0, 2]).eval(), torch.device("cpu"), torch.float32)
    torch.testing.assert_close(traced(image), torch.stack(passes).mean(dim=0))


def test_mirroring_a_mirrored_image_changes_nothing_but_its_direction():
    torch.manual_seed(0)
    network = Ensemble([torch.nn.Conv3d(1, 2, 3, padding=1)], mirror_axes=[0, 1, 2]).eval()
    inferer = window_inferer(patch_size=[8, 8, 8], precision="float32")
    image = torch.randn(1, 1, 8, 16, 12)
    torch.testing.assert_close(
        inferer(image.flip(3), network).flip(3), inferer(image, network), rtol=1e-4, atol=1e-5
    )
