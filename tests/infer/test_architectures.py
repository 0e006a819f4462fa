"""The networks of MONAI, alone, mirrored and in ensembles: labels as MONAI's inferer gives them, or nearly."""

import monai.inferers
import pytest
import torch
from monai.networks import nets
from torch import nn

from medseg.infer.inferers import SlidingWindowInferer
from medseg.networks import Ensemble

SIDE, LABELS = 32, 3
FEATURES = (4, 4, 8, 8, 8, 4)
LAYERS = (
    {"name": "conv_0", "n_features": 8, "kernel_size": 3},
    {"name": "res_1", "n_features": 8, "kernels": (3, 3), "repeat": 1},
    {"name": "res_2", "n_features": 16, "kernels": (3, 3), "repeat": 1},
    {"name": "conv_1", "n_features": 8, "kernel_size": 1},
    {"name": "conv_2", "kernel_size": 1},
)


def dints(dims):
    topology = nets.TopologyInstance(channel_mul=0.1, num_blocks=2, num_depths=3, spatial_dims=dims)
    return nets.DiNTS(topology, 1, LABELS, spatial_dims=dims)


NETWORKS = {
    "UNet": lambda d: nets.UNet(d, 1, LABELS, (4, 8, 16), (2, 2), num_res_units=2, norm="batch"),
    "UNet, instance norm": lambda d: nets.UNet(d, 1, LABELS, (4, 8, 16), (2, 2), num_res_units=1),
    "BasicUNet": lambda d: nets.BasicUNet(d, 1, LABELS, FEATURES, norm="batch"),
    "BasicUNetPlusPlus": lambda d: nets.BasicUNetPlusPlus(d, 1, LABELS, FEATURES),
    "DynUNet": lambda d: nets.DynUNet(d, 1, LABELS, [3] * 3, [1, 2, 2], [2, 2], (4, 8, 16), norm_name="batch"),
    "AttentionUnet": lambda d: nets.AttentionUnet(d, 1, LABELS, (4, 8, 16), (2, 2)),
    "SegResNet": lambda d: nets.SegResNet(d, 8, 1, LABELS, blocks_down=(1, 1, 1), blocks_up=(1, 1)),
    "SegResNetDS": lambda d: nets.SegResNetDS(d, 8, 1, LABELS, blocks_down=(1, 1, 1)),
    "VNet": lambda d: nets.VNet(d, 1, LABELS),
    "MedNeXt": lambda d: nets.MedNeXt(
        d, 4, 1, LABELS, 2, 2, 2, blocks_down=[1] * 4, blocks_bottleneck=1, blocks_up=[1] * 4
    ),
    "FlexibleUNet": lambda d: nets.FlexibleUNet(
        1, LABELS, "resnet10", decoder_channels=(16, 8, 8, 8, 8), spatial_dims=d
    ),
    "HighResNet": lambda d: nets.HighResNet(d, 1, LABELS, layer_params=LAYERS),
    "RegUNet": lambda d: nets.RegUNet(d, 1, 4, 2, out_channels=LABELS),
    "AutoEncoder": lambda d: nets.AutoEncoder(d, 1, LABELS, (4, 8), (2, 2), norm="batch"),
    "DiNTS": dints,
    "DynUNet of residual blocks": lambda d: nets.DynUNet(
        d, 1, LABELS, [3] * 3, [1, 2, 2], [2, 2], (4, 8, 16), res_block=True
    ),
}
SLOW = {"VNet", "DiNTS", "MedNeXt", "FlexibleUNet", "SegResNetDS", "BasicUNetPlusPlus"}  # in 3D only alone


def trained(make, dims, seed):
    torch.manual_seed(seed)
    network = make(dims)
    for module in network.modules():
        if isinstance(module, (nn.BatchNorm2d, nn.BatchNorm3d)):
            module.running_mean.uniform_(-0.3, 0.3)
            module.running_var.uniform_(0.5, 2.0)
            module.weight.data.uniform_(0.5, 2.0)
            module.bias.data.uniform_(-0.5, 0.5)
    return network.eval()


def monai_labels(volume, network, bfloat16, mode="constant"):
    size = (SIDE,) * (volume.ndim - 2)
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16, enabled=bfloat16):
        return monai.inferers.sliding_window_inference(volume, size, 1, network, mode=mode).argmax(dim=1)


def medseg_labels(volume, network, precision, mode="constant"):
    return SlidingWindowInferer(SIDE, mode=mode, precision=precision)(volume, network).argmax(dim=1)


@pytest.mark.parametrize("kind", ["alone", "mirrored", "ensemble"])
@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("name", NETWORKS)
def test_labels_are_those_of_monai_s_inferer(name, dims, kind):
    if dims == 3 and kind != "alone" and name in SLOW:
        pytest.skip("too slow in 3D; it is tested alone")
    network = trained(NETWORKS[name], dims, 0)
    if kind == "mirrored":
        network = Ensemble([network], [0]).eval()
    elif kind == "ensemble":
        network = Ensemble([network, trained(NETWORKS[name], dims, 1)]).eval()
    volume = torch.randn(1, 1, *(SIDE,) * (dims - 1), SIDE * 3 // 2, generator=torch.Generator().manual_seed(2))
    try:
        exact = monai_labels(volume, network, False)
    except Exception:  # an ensemble of networks that give lists
        with pytest.raises(Exception):  # noqa: B017, PT011
            medseg_labels(volume, network, "float32")
        return
    assert (medseg_labels(volume, network, "float32") == exact).float().mean() >= 0.999
    theirs = (monai_labels(volume, network, True) != exact).float().mean()
    ours = (medseg_labels(volume, network, "bfloat16") != exact).float().mean()
    assert ours <= 1.25 * theirs + 0.005  # single voxels of the 2D images are 0.0007 of them


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("name", [name for name in NETWORKS if name not in SLOW])
def test_labels_are_those_of_monai_s_inferer_with_gaussian_weights(name, dims):
    """Windows meet at corners, where MONAI's lower bound of the weights decides."""
    network = trained(NETWORKS[name], dims, 0)
    generator = torch.Generator().manual_seed(2)
    volume = torch.randn(1, 1, *(SIDE * 7 // 4,) * dims, generator=generator)
    try:
        exact = monai_labels(volume, network, False, "gaussian")
    except Exception:  # it gives a list
        pytest.skip("MONAI's function gives no tensor")
    assert (medseg_labels(volume, network, "float32", "gaussian") == exact).float().mean() >= 0.999
