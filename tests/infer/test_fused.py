"""The fused copy of a network gives the network's own results."""

import operator

import pytest
import torch
import torch.nn.functional as F
from monai.networks.nets import BasicUNet, DynUNet, UNet, VNet
from torch import fx, nn

from medseg.infer.copies import fused
from medseg.infer.fused import CONVOLUTIONS
from medseg.infer.subpixel import Subpixel, fits
from medseg.networks import Ensemble

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


class Sums(nn.Module):
    """A convolution's sum with its input, as `add` has it."""

    def __init__(self, conv, add):
        super().__init__()
        self.conv, self.add = conv, add

    def forward(self, x):
        return self.add(self.conv(x), x)


@pytest.mark.parametrize(
    ("conv", "add", "is_folded"),
    [
        (nn.Conv3d(3, 3, 3, padding="same"), operator.add, True),
        (nn.Conv3d(3, 3, 3, padding=2, dilation=2), torch.add, True),
        (nn.Conv3d(3, 3, 1), lambda a, b: b.add(a), True),
        (nn.Conv3d(3, 3, 3, padding="same"), lambda a, b: torch.add(a, other=b), False),
        (nn.Conv3d(3, 3, 3, padding="same"), lambda a, b: torch.add(a, b, alpha=2), False),
        (nn.Conv3d(3, 3, (2, 3, 3), padding="same"), operator.add, False),
        (nn.Conv3d(3, 1, 3, padding=1), operator.add, False),  # broadcast over the channels
        (nn.Conv3d(3, 3, 3, padding=1, groups=3), operator.add, False),
    ],
)
def test_sums_are_folded_only_where_each_voxel_meets_itself(conv, add, is_folded):
    torch.manual_seed(0)
    network, image = Sums(conv, add).eval(), torch.randn(1, 3, 8, 8, 8)
    made = fused(network, CPU, torch.float32)
    left = [node for node in made.graph.nodes if node.op in ("call_function", "call_method")]
    assert bool(left) != is_folded
    with torch.inference_mode():
        torch.testing.assert_close(made(image), network(image), rtol=1e-4, atol=1e-5)


def test_weights_that_layers_share_are_folded_for_each():
    torch.manual_seed(0)
    first, second, norm = nn.Conv3d(2, 2, 3, padding=1), nn.Conv3d(2, 2, 3, padding=1), nn.BatchNorm3d(2)
    second.weight = first.weight
    network = trained(nn.Sequential(Sums(first, operator.add), second, norm))
    image, before = torch.randn(1, 2, 8, 8, 8), first.weight.clone()
    with torch.inference_mode():
        expected = network(image)
        torch.testing.assert_close(fused(network, CPU, torch.float32)(image), expected, rtol=1e-4, atol=1e-5)
    assert torch.equal(first.weight, before)


@pytest.mark.parametrize("conv", [nn.Conv3d, nn.ConvTranspose3d])
def test_groups(conv):
    torch.manual_seed(0)
    network = trained(nn.Sequential(conv(4, 4, 3, groups=2), nn.BatchNorm3d(4)))
    image = torch.randn(1, 4, 8, 8, 8)
    with torch.inference_mode():
        torch.testing.assert_close(fused(network, CPU, torch.float32)(image), network(image), rtol=1e-4, atol=1e-5)


def test_each_member_of_a_mirrored_ensemble_is_folded_once():
    torch.manual_seed(0)
    members = [trained(UNet(3, 1, 3, (4, 8), (2,), num_res_units=1, norm="batch")) for _ in range(2)]
    network, image = Ensemble(members, [0, 1]).eval(), torch.randn(1, 1, 16, 16, 16)
    made = fused(network, CPU, torch.float32)
    assert not [module for module in made.modules() if isinstance(module, (nn.BatchNorm3d, nn.PReLU))]
    with torch.inference_mode():
        torch.testing.assert_close(made(image), network(image), rtol=1e-4, atol=1e-5)


def test_the_parts_of_a_network_whose_operations_depend_on_values_are_folded():
    torch.manual_seed(0)
    network = trained(BasicUNet(3, 1, 2, (4, 4, 8, 8, 8, 4), norm="batch"))
    made = fused(network, CPU, torch.float32, in_parts=True)
    assert not [module for module in made.modules() if isinstance(module, nn.BatchNorm3d)]
    image = torch.randn(1, 1, 32, 32, 32)
    with torch.inference_mode():
        torch.testing.assert_close(made(image), network(image), rtol=1e-4, atol=1e-4)


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
