"""A network that was changed, by whatever way, is run as it is now."""

import numpy as np
import pytest
import torch
from monai.inferers import sliding_window_inference
from monai.networks.nets import UNet
from torch import nn

from medseg.infer import SlidingWindowInferer
from medseg.infer.state import state_of


class Prompted(nn.Module):
    """Holds what is neither a parameter nor a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.act, self.norm = nn.Conv3d(1, 2, 3, padding=1), nn.LeakyReLU(0.1), nn.BatchNorm3d(2)
        self.prompt, self.task, self.scale, self.later = torch.ones(1), "a", [1.0], torch.relu

    def forward(self, image):
        found = self.later(self.norm(self.act(self.conv(image)) * self.prompt * self.scale[0]))
        return found if self.task == "a" else -found


CHANGES = {
    "data.copy_": lambda n: n.conv.weight.data.copy_(torch.randn_like(n.conv.weight)),
    "data.mul_": lambda n: n.conv.weight.data.mul_(-1),
    "numpy": lambda n: np.negative(n.conv.weight.detach().numpy(), out=n.conv.weight.detach().numpy()),
    "data of a buffer": lambda n: n.norm.running_mean.data.fill_(3),
    "a slope": lambda n: setattr(n.act, "negative_slope", -2.0),
    "an epsilon": lambda n: setattr(n.norm, "eps", 10.0),
    "a mode": lambda n: setattr(n, "task", "b"),
    "a tensor that is no buffer": lambda n: n.prompt.mul_(-1),
    "a number in a list": lambda n: n.scale.__setitem__(0, -1.0),
    "a function": lambda n: setattr(n, "later", torch.tanh),
    "padding": lambda n: setattr(n.conv, "padding_mode", "circular"),
    "a module": lambda n: setattr(n, "act", nn.Tanh()),
    "load_state_dict": lambda n: n.load_state_dict({k: v + 1 for k, v in n.state_dict().items()}),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_change_is_seen(change):
    torch.manual_seed(0)
    network, image = Prompted().eval(), torch.randn(1, 1, 12, 12, 12)
    inferer = SlidingWindowInferer((8, 8, 8), 1, 0.5, precision="float32")
    before, state = inferer(image, network), state_of(network)
    assert state_of(network) == state
    change(network)
    assert state_of(network) != state
    with torch.no_grad():
        expected = sliding_window_inference(image, (8, 8, 8), 1, network, 0.5)
    assert (expected - before).abs().max() > 1e-2
    torch.testing.assert_close(inferer(image, network), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("how", [{"fused": True}, {"foreach": True}])
def test_weights_are_seen_that_an_optimizer_changed_between_validations(how):
    """Fused optimizers leave no trace in a tensor's version."""
    torch.manual_seed(0)
    network = UNet(3, 1, 3, (4, 8), (2,), norm="instance")
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.1, **how)
    image, inferer = torch.randn(1, 1, 16, 16, 16), SlidingWindowInferer((8, 8, 8), 1, 0.5, precision="float32")
    for _ in range(3):
        network.eval()
        with torch.no_grad():
            expected = sliding_window_inference(image, (8, 8, 8), 1, network, 0.5)
        torch.testing.assert_close(inferer(image, network), expected, rtol=1e-3, atol=1e-3)
        network.train()
        network(image).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()


class OfBatch(nn.Module):
    """Normalises by all that is in its batch."""

    def __init__(self, way: str) -> None:
        super().__init__()
        self.conv, self.way = nn.Conv3d(1, 2, 3, padding=1), way

    def forward(self, image):
        if self.way == "branch" and image.mean() > 0:
            return -self.conv(image)
        if self.way == "norm":
            image = (image - image.mean()) / (image.std() + 1)
        if self.way == "one":
            image = image.reshape(1, 1, *image.shape[2:])
        if self.way == "training":
            return torch.nn.functional.batch_norm(self.conv(image), None, None, training=True)
        return self.conv(image)


@pytest.mark.parametrize("size", [1, 4])
@pytest.mark.parametrize("way", ["norm", "branch", "one", "training", "none"])
def test_windows_meet_only_those_that_monai_lets_them_meet(way, size):
    if (way, size) == ("one", 4):
        pytest.skip("MONAI's fails too")
    torch.manual_seed(0)
    network, image = OfBatch(way).eval(), torch.randn(1, 1, 20, 12, 16)
    image[:, :, :9] = 0  # windows of one value
    with torch.no_grad():
        expected = sliding_window_inference(image, (8, 8, 8), size, network, 0.5)
    found = SlidingWindowInferer((8, 8, 8), size, 0.5, precision="float32")(image, network)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)
