"""The fused copy of a network gives the network's own results."""

import pytest
import torch
from monai.networks.nets import BasicUNet, UNet
from torch import nn

from medseg.infer.fused import fused, is_placeless
from medseg.infer.subpixel import Subpixel, fits

CPU = torch.device("cpu")


def trained(network: nn.Module) -> nn.Module:
    """Give batch norms statistics that are not 0 and 1, and activations slopes of their own."""
    for module in network.modules():
        if isinstance(module, (nn.BatchNorm2d, nn.BatchNorm3d)):
            for tensor, low, high in ((module.running_mean, -0.3, 0.3), (module.running_var, 0.5, 2.0)):
                tensor.uniform_(low, high)
            module.weight.data.uniform_(0.5, 2.0)
            module.bias.data.uniform_(-0.5, 0.5)
        if isinstance(module, nn.PReLU):
            module.weight.data.uniform_(0.1, 0.5)
    return network.eval()


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("norm", ["batch", "instance"])
@pytest.mark.parametrize("residual_units", [0, 1, 2])
@pytest.mark.parametrize("labels", [2, 3, 5])
def test_same_scores(dims, norm, residual_units, labels):
    torch.manual_seed(0)
    network = trained(UNet(dims, 1, labels, (4, 8, 16), (2, 2), num_res_units=residual_units, norm=norm))
    image = torch.randn(2, 1, *(16,) * dims)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    with torch.inference_mode():
        expected = network(image)
        exact = fused(network, CPU, torch.float32)(image)
        rounded = fused(network, CPU, torch.bfloat16)(image.bfloat16())
    torch.testing.assert_close(exact, expected, rtol=1e-4, atol=1e-5)
    assert (rounded.float() - expected).abs().max() < 0.06 * expected.abs().max()
    for name, tensor in network.state_dict().items():  # the network itself is left as it was
        torch.testing.assert_close(tensor, before[name], rtol=0, atol=0)


def test_other_networks_and_untraceable_ones():
    class Untraceable(nn.Conv3d):
        def forward(self, x):
            return super().forward(x) if x.mean() > 0 else -super().forward(x)

    for network in (BasicUNet(3, 1, 2, (4, 4, 8, 8, 8, 4)).eval(), nn.Sequential(Untraceable(1, 2, 3)).eval()):
        image = torch.randn(1, 1, 32, 32, 32)
        with torch.inference_mode():
            torch.testing.assert_close(
                fused(network, CPU, torch.float32)(image), network(image), rtol=1e-4, atol=1e-4
            )


def test_changed_weights_are_seen():
    network = nn.Conv3d(1, 2, 3).eval()
    image = torch.randn(1, 1, 8, 8, 8)
    first = fused(network, CPU, torch.float32)
    assert fused(network, CPU, torch.float32) is first
    with torch.no_grad():
        network.weight.mul_(2)
    torch.testing.assert_close(fused(network, CPU, torch.float32)(image), network(image).detach())


@pytest.mark.parametrize("channels", [2, 3, 4])
def test_subpixel_is_the_transposed_convolution(channels):
    torch.manual_seed(0)
    transposed = nn.ConvTranspose3d(5, channels, 3, 2, 1, 1)
    assert fits(transposed)
    layout = torch.channels_last_3d
    subpixel = Subpixel(transposed).bfloat16().to(memory_format=layout)
    image = torch.randn(2, 5, 4, 6, 8).bfloat16().contiguous(memory_format=layout)
    with torch.inference_mode():
        out, expected = subpixel(image).float(), transposed(image.float())
    torch.testing.assert_close(out[:, :channels], expected, rtol=0.02, atol=0.02)
    assert not out[:, channels:].any()


def test_which_networks_take_any_window():
    assert is_placeless(UNet(3, 1, 2, (4, 8), (2,), norm="batch"))
    assert not is_placeless(UNet(3, 1, 2, (4, 8), (2,), norm="instance"))
