"""The fused copy of a network gives the network's own results."""

import pytest
import torch
import torch.nn.functional as F
from monai.networks.nets import BasicUNet, DynUNet, UNet, VNet
from torch import fx, nn

from medseg.infer.fused import CONVOLUTIONS, fused, is_placeless
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


def called(made: nn.Module) -> list[nn.Module]:
    """Return the modules that a fused network calls, in their order."""
    assert isinstance(made, fx.GraphModule)
    calls = [node for node in made.graph.nodes if node.op == "call_module"]
    return [made.get_submodule(node.target) for node in calls]


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


@pytest.mark.parametrize(
    "network",
    [
        DynUNet(3, 1, 2, [3, 3, 3], [1, 2, 2], [2, 2], norm_name="batch"),
        VNet(3, 1, 2),
        UNet(3, 1, 3, (4, 8, 16), (2, 2), num_res_units=2, norm="batch"),
        UNet(3, 1, 3, (4, 8, 16), (2, 2), num_res_units=1, norm="batch"),
    ],
    ids=["DynUNet", "VNet", "UNet of two units", "UNet of one unit"],
)
def test_norms_and_dropouts_are_gone_from_networks_of_any_kind(network):
    torch.manual_seed(0)
    trained(network)
    image = torch.randn(1, 1, 32, 32, 32)
    made = fused(network, CPU, torch.float32)
    with torch.inference_mode():
        torch.testing.assert_close(made(image), network(image), rtol=1e-4, atol=1e-4)
    before = [type(module) for module in network.modules()]
    after = [type(module) for module in called(made)]
    assert nn.BatchNorm3d in before
    assert not {nn.BatchNorm3d, nn.Dropout, nn.Dropout3d, nn.Identity, nn.PReLU} & set(after)
    assert [after.count(kind) for kind in CONVOLUTIONS] == [before.count(kind) for kind in CONVOLUTIONS]


def test_each_rule_by_hand():
    class Residual(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.norm = nn.Conv3d(3, 3, 3, padding=1), nn.BatchNorm3d(3)

        def forward(self, x):
            return self.norm(self.conv(x)) + x

    layers = [
        nn.Conv3d(1, 3, 3),
        nn.BatchNorm3d(3),
        nn.Dropout3d(),
        nn.PReLU(),
        Residual(),
        nn.PReLU(3),
        nn.Identity(),
    ]
    network = trained(nn.Sequential(*layers, nn.ReLU(), nn.BatchNorm3d(3), nn.MaxPool3d(2)))
    made = fused(network, CPU, torch.float32)
    wanted = [
        nn.Conv3d,
        nn.Conv3d,
        nn.PReLU,
        nn.ReLU,
        nn.BatchNorm3d,
        nn.MaxPool3d,
    ]  # no convolution before that norm
    assert [type(module) for module in called(made)] == wanted
    functions = [
        node.target for node in made.graph.nodes if node.op.startswith("call") and node.op != "call_module"
    ]
    assert functions == [F.leaky_relu]  # the sum is in the convolution's centre
    image = torch.randn(1, 1, 12, 12, 12)
    with torch.inference_mode():
        torch.testing.assert_close(made(image), network(image), rtol=1e-4, atol=1e-5)


def test_what_cannot_be_traced_or_comes_out_otherwise_is_left_as_it_is():
    class Untraceable(nn.Conv3d):
        def forward(self, x):
            return super().forward(x) if x.mean() > 0 else -super().forward(x)

    class OtherForAStandIn(nn.Conv3d):
        def forward(self, x):
            return super().forward(x) if isinstance(x, torch.Tensor) else super().forward(-x)

    unet = BasicUNet(3, 1, 2, (4, 4, 8, 8, 8, 4))
    for network in (Untraceable(1, 2, 3).eval(), OtherForAStandIn(1, 2, 3).eval(), unet.eval()):
        image = torch.randn(1, 1, 32, 32, 32)
        made = fused(network, CPU, torch.float32)
        assert not isinstance(made, fx.GraphModule)
        with torch.inference_mode():
            torch.testing.assert_close(made(image), network(image), rtol=1e-4, atol=1e-4)


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
