"""A network is run by a copy only where that gives its own scores; else as it was given."""

import gc
import threading
import weakref

import monai.inferers
import pytest
import torch
import torch.nn.functional as F
from monai.networks.nets import UNet
from torch import fx, nn
from torch.nn.utils import parametrizations, spectral_norm, weight_norm

from medseg.infer.copies import kept
from medseg.infer.inferers import SlidingWindowInferer
from medseg.infer.running import running

CPU = torch.device("cpu")
WINDOW = (16, 16, 16)


class Conv(nn.Module):
    """A convolution in a network, for others to build on."""

    def __init__(self, conv=None):
        super().__init__()
        self.conv = conv or nn.Conv3d(1, 3, 3, padding=1)

    def forward(self, x):
        return self.conv(x)


class FunctionalActivation(Conv):
    def __init__(self):
        super().__init__(nn.Conv3d(1, 4, 3, 2, 1))
        self.up, self.last = nn.ConvTranspose3d(4, 3, 3, 2, 1, 1), nn.Conv3d(3, 3, 3, padding=1)

    def forward(self, x):
        return self.last(F.leaky_relu(self.up(F.relu(self.conv(x))), 0.2))


class AddOfKeyword(Conv):
    def forward(self, x):
        return torch.add(self.conv(x), other=x)


class Fourier(Conv):
    """torch.fft takes no bfloat16."""

    def forward(self, x):
        return torch.fft.ifftn(torch.fft.fftn(self.conv(x), dim=(2, 3, 4)), dim=(2, 3, 4)).real


class Branches(Conv):
    def forward(self, x):
        return self.conv(x) if x.mean() > 100 else -self.conv(x)


class OtherForAStandIn(Conv):
    def forward(self, x):
        return self.conv(x) if isinstance(x, torch.Tensor) else self.conv(-x)


class Views(Conv):
    """`view` takes no channels that lie last."""

    def forward(self, x):
        scores = self.conv(x)
        return scores.view(len(scores), 3, -1).view(scores.shape)


class Nameless(Conv):
    def forward(self, *inputs):
        return self.conv(inputs[0])


def twice(kind):
    conv = nn.Conv3d(1, 1, 3, padding=1)
    return nn.Sequential(conv, nn.BatchNorm3d(1), conv, nn.BatchNorm3d(1), kind)


NETWORKS = {
    "functional activations before the last convolution": FunctionalActivation,
    "padding of the same": lambda: Conv(nn.Conv3d(1, 3, 3, padding="same")),
    "padding of the same, even kernel": lambda: AddOfKeyword(nn.Conv3d(1, 1, 2, padding="same")),
    "torch.add of a keyword": AddOfKeyword,
    "channels broadcast": lambda: AddOfKeyword(nn.Conv3d(1, 5, 3, padding=1)),
    "weight norm": lambda: Conv(parametrizations.weight_norm(nn.Conv3d(1, 3, 3, padding=1))),
    "weight norm by hooks": lambda: Conv(weight_norm(nn.Conv3d(1, 3, 3, padding=1))),
    "spectral norm": lambda: Conv(parametrizations.spectral_norm(nn.Conv3d(1, 3, 3, padding=1))),
    "spectral norm by hooks": lambda: Conv(spectral_norm(nn.Conv3d(1, 3, 3, padding=1))),
    "TorchScript": lambda: torch.jit.trace(Conv().eval(), torch.zeros(1, 1, 8, 8, 8)),
    "float32 alone": Fourier,
    "operations that depend on values": Branches,
    "another branch for a stand-in": OtherForAStandIn,
    "views of contiguous channels": Views,
    "inputs without a name": Nameless,
    "a layer called twice": lambda: twice(nn.Conv3d(1, 3, 1)),
    "statistics of the batch": lambda: nn.Sequential(
        nn.Conv3d(1, 3, 3, padding=1), nn.BatchNorm3d(3, track_running_stats=False)
    ),
    "double precision": lambda: Conv().double(),
    "no weights": lambda: nn.ReLU(),
}


def monai_scores(network, volume, *args, **kwargs):
    with torch.no_grad():
        return monai.inferers.SlidingWindowInferer(WINDOW, 1, 0.5)(volume, network, *args, **kwargs)


@pytest.fixture
def volume():
    torch.manual_seed(0)
    return torch.randn(1, 1, 16, 16, 24)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", NETWORKS)
def test_what_monai_s_inferer_runs_is_run_with_its_scores(name, volume):
    torch.manual_seed(1)
    network = NETWORKS[name]().eval()
    expected = monai_scores(network, volume.double() if name == "double precision" else volume).float()
    for precision, tolerance in (("float32", 1e-4), ("bfloat16", 0.03)):
        found = SlidingWindowInferer(WINDOW, 1, 0.5, precision=precision)(volume, network)
        torch.testing.assert_close(found, expected, rtol=0, atol=tolerance * float(expected.abs().max()))


def test_arguments_of_the_network_are_not_ignored(volume):
    class Scaled(Conv):
        def forward(self, x, scale=1.0):
            return self.conv(x) * scale

    network = Scaled().eval()
    inferer = SlidingWindowInferer(WINDOW, 1, 0.5, precision="float32")
    for args, kwargs in (((), {}), ((), {"scale": 3.0}), ((2.0,), {}), ((), {})):
        expected = monai_scores(network, volume, *args, **kwargs)
        torch.testing.assert_close(inferer(volume, network, *args, **kwargs), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_function_around_a_network_is_run_in_the_precision(precision, volume):
    network = Conv().eval()
    found = SlidingWindowInferer(WINDOW, 1, 0.5, precision=precision)(volume, lambda x: network(x) * 2)
    torch.testing.assert_close(found, 2 * monai_scores(network, volume), rtol=0, atol=0.02)


def test_changed_weights_and_modes_are_seen(volume):
    network = nn.Sequential(nn.Conv3d(1, 2, 3, padding=1), nn.Dropout3d(1.0)).eval()
    inferer = SlidingWindowInferer(WINDOW, 1, 0.5, precision="float32")
    first = inferer(volume, network)
    choice = kept(network).choices[CPU, torch.float32]
    assert isinstance(choice.copy, fx.GraphModule)
    inferer(volume, network)
    assert kept(network).choices[CPU, torch.float32] is choice
    with torch.no_grad():
        network[0].weight.mul_(2)
        network[0].bias.mul_(2)
    torch.testing.assert_close(inferer(volume, network), 2 * first)
    assert not inferer(volume, network.train()).any()  # as MONAI's, which leaves the mode to the caller


def test_a_caller_s_hooks_are_called(volume):
    network, seen = Conv().eval(), []
    network.conv.register_forward_hook(lambda *_: seen.append(1))
    SlidingWindowInferer(WINDOW, 1, 0.5)(volume, network)
    assert seen


def test_a_copy_that_fails_later_is_given_up_for_the_network():
    class LikesItSmall(nn.Module):
        def forward(self, x):
            if len(x) > 1:
                raise RuntimeError("one at a time")
            return x

    network = Conv(nn.Conv3d(1, 1, 3, padding=1)).eval()
    run = running(network, CPU, torch.float32, lambda: torch.randn(1, 1, 8, 8, 8))
    assert run.choice.copy is not None
    run.choice.copy.forward = LikesItSmall().forward
    with torch.inference_mode():
        windows = torch.randn(2, 1, 8, 8, 8)
        torch.testing.assert_close(run(windows), network(windows))
    assert run.choice.copy is None


def test_memory_that_runs_out_in_a_check_is_not_taken_for_a_bad_copy(volume, monkeypatch):
    def runs_out(*_, **__):
        raise RuntimeError(
            "[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes"
        )

    monkeypatch.setattr("medseg.infer.copies.folded", runs_out)
    with pytest.raises(RuntimeError, match="allocate"):
        SlidingWindowInferer(WINDOW, 1, 0.5)(volume, Conv().eval())


def test_threads_run_and_trace_different_networks_at_once(volume):
    torch.manual_seed(0)
    networks = [UNet(3, 1, 2, (4, 8), (2,), num_res_units=n % 3, norm="batch").eval() for n in range(12)]
    expected = [monai_scores(network, volume) for network in networks]
    inferer = SlidingWindowInferer(WINDOW, 1, 0.5, precision="float32")
    start, failures = threading.Barrier(4), []

    def work(mine):
        start.wait()
        for n in mine:
            for _ in range(2):
                try:
                    torch.testing.assert_close(inferer(volume, networks[n]), expected[n], rtol=1e-4, atol=1e-4)
                except Exception as error:
                    failures.append(error)

    call, getattribute = nn.Module.__call__, nn.Module.__getattr__
    threads = [threading.Thread(target=work, args=([*range(n, 12, 4), *range(12)],)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert (nn.Module.__call__, nn.Module.__getattr__) == (call, getattribute)
    torch.testing.assert_close(monai_scores(networks[0], volume), expected[0])


def test_a_network_that_is_gone_is_forgotten(volume):
    network = Conv().eval()
    SlidingWindowInferer(WINDOW, 1, 0.5)(volume, network)
    gone = weakref.ref(network)
    del network
    gc.collect()
    assert gone() is None
