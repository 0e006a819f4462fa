"""Tracing a network leaves the networks of other threads alone."""

import threading

import torch
from monai.networks.nets import UNet
from torch import nn

from medseg.infer.tracing import shared_copy, traced


class WithDefaults(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv3d(1, 2, 3)

    def forward(self, x, scale=2.0, mask=None):
        scores = self.conv(x) * scale
        return scores if mask is None else scores * mask


def test_other_arguments_have_their_defaults():
    network, image = WithDefaults().eval(), torch.randn(1, 1, 6, 6, 6)
    torch.testing.assert_close(traced(network)(image), network(image))


def test_what_depends_on_values_has_no_graph():
    class Branches(nn.Conv3d):
        def forward(self, x):
            return super().forward(x) if x.mean() > 0 else -super().forward(x)

    assert traced(Branches(1, 2, 3)) is None


def test_a_shared_copy_has_the_weights_and_other_modules():
    network = UNet(3, 1, 2, (4, 8), (2,))
    copied = shared_copy(network)
    assert all(a is b for a, b in zip(network.parameters(), copied.parameters(), strict=True))
    assert not {id(module) for module in network.modules()} & {id(module) for module in copied.modules()}


def test_other_threads_run_their_networks_meanwhile():
    """torch.fx exchanges `Module.__call__` for the whole process, and the running network shares its weights."""
    torch.manual_seed(0)
    network, image = UNet(3, 1, 2, (4, 8, 16), (2, 2), norm="batch").eval(), torch.randn(1, 1, 16, 16, 16)
    copied, stop, started, failures = shared_copy(network), threading.Event(), threading.Barrier(3), []
    with torch.inference_mode():
        expected = network(image)

    def run():
        started.wait()
        with torch.inference_mode():
            while not stop.is_set():
                try:
                    torch.testing.assert_close(network(image), expected)
                except Exception as error:
                    failures.append(error)
                    return

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    started.wait()
    graphs = [traced(copied) for _ in range(10)]
    stop.set()
    for thread in threads:
        thread.join()
    assert failures == []
    with torch.inference_mode():
        for graph in graphs:
            torch.testing.assert_close(graph(image), expected)
