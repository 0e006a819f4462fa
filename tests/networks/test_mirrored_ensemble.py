"""Ensembles: the mean of probabilities over members and mirrorings."""

import torch

from medseg.infer.copies import fused
from medseg.infer.inferers import window_inferer
from medseg.networks.mirrored_ensemble import Ensemble


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
