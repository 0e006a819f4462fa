"""Larger windows only where the operations allow it and a trial agrees."""

import pytest
import torch
from monai.networks.blocks import ResidualSELayer
from monai.networks.nets import AttentionUnet, BasicUNet, UNet
from torch import nn

from medseg.infer.copies import kept
from medseg.infer.growth import may_grow
from medseg.infer.inferers import window_inferer
from medseg.networks import Ensemble

WINDOW = (16, 16, 16)


def conv():
    return nn.Conv3d(1, 2, 3, padding=1)


class Mirrors(nn.Module):
    """Each operation is one that an ensemble of mirrored images has."""

    def __init__(self):
        super().__init__()
        self.conv = conv()

    def forward(self, x):
        return self.conv(x) + self.conv(x.flip(2)) * 3


class OtherForAStandIn(nn.Module):
    """Its graph is a convolution, and it looks at the mean of its window."""

    def __init__(self):
        super().__init__()
        self.conv = conv()

    def forward(self, x):
        return self.conv(x - 4 * x.square().mean() if isinstance(x, torch.Tensor) else x)


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.attention = conv(), nn.MultiheadAttention(2, 1, batch_first=True)

    def forward(self, x):
        x = self.conv(x)
        tokens = x.flatten(2).transpose(1, 2)
        return x + self.attention(tokens, tokens, tokens)[0].transpose(1, 2).reshape(x.shape)


def unet(norm):
    return UNet(3, 1, 2, (4, 8), (2,), num_res_units=1, norm=norm)


ALLOWED = {
    "batch norm": lambda: unet("batch"),
    "mirrored": lambda: Ensemble([unet("batch")], [0, 1]),
}
BY_OPERATIONS = {
    "attention gates and one instance norm": lambda: AttentionUnet(3, 1, 2, (4, 8), (2,)),
    "instance norm": lambda: unet("instance"),
    "batch norm of the batch": lambda: nn.Sequential(conv(), nn.BatchNorm3d(2, track_running_stats=False)),
    "squeeze and excitation": lambda: nn.Sequential(conv(), ResidualSELayer(3, 2)),
    "attention": Attention,
    "align_corners": lambda: nn.Sequential(
        nn.AvgPool3d(2), conv(), nn.Upsample(scale_factor=2, mode="trilinear", align_corners=True)
    ),
    "softmax along an axis": lambda: nn.Sequential(conv(), nn.Softmax(dim=2)),
}
BY_TRIAL = {"mirrors": Mirrors, "another graph": OtherForAStandIn}


def windows_run(network, precision):
    """Return the sizes of the windows in which scores are made, once it is known which."""
    torch.manual_seed(1)
    volume = torch.randn(1, 40, 40, 16)
    inferer = window_inferer(patch_size=WINDOW, precision=precision)
    for _ in inferer.slabs(volume, network):
        pass
    return tuple(inferer.windows(volume.shape[1:], network).size)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", ALLOWED)
def test_networks_that_look_the_same_everywhere_get_larger_windows(name, precision):
    torch.manual_seed(0)
    network = ALLOWED[name]().eval()
    assert windows_run(network, precision) == (24, 24, 16)
    assert kept(network).grows is True


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", BY_OPERATIONS | BY_TRIAL)
def test_others_keep_the_windows_they_were_trained_with(name, precision):
    torch.manual_seed(0)
    network = (BY_OPERATIONS | BY_TRIAL)[name]().eval()
    assert may_grow(network) == (name in BY_TRIAL)  # before it is tried
    assert windows_run(network, precision) == WINDOW
    assert kept(network).grows is (False if name in BY_TRIAL else None)


def test_what_is_not_traced_or_trained_on_or_watched_keeps_its_windows():
    network = BasicUNet(3, 1, 2, (4, 4, 4, 4, 4, 4), norm="batch")
    assert not may_grow(network.train())
    assert not may_grow(lambda windows: windows)
    unwatched = unet("batch").eval()
    assert may_grow(unwatched)
    unwatched.register_forward_hook(lambda *_: None)
    assert not may_grow(unwatched)
