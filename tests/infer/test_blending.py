"""Windows are run in full batches, and added up in their order."""

import math

import pytest
import torch

from medseg.infer.blending import blended_slabs
from medseg.infer.inferers import SlidingWindowInferer, window_inferer
from medseg.infer.windows import Windows, stops


def counted(network=lambda windows: windows.float()):
    """Return a network and the list of the numbers of windows in its calls."""
    calls = []

    def run(windows, *args):
        calls.append(len(windows))
        return network(windows, *args)

    return run, calls


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_slices_fill_batches_across_rows(axis):
    """200 slices of 2 windows each."""
    run, calls = counted()
    inferer = window_inferer(patch_size=[16, 16], batch_size=64, precision="float32")
    volume = torch.randn(1, 24, 16, 200)
    slabs = [slab.clone() for slab in inferer.slabs(volume, run, axis=axis)]
    assert calls == [64] * 6 + [16]
    torch.testing.assert_close(torch.cat(slabs, dim=1 + axis), volume, rtol=1e-5, atol=1e-5)


def test_the_volumes_of_a_batch_share_the_network_s():
    run, calls = counted()
    inputs = torch.randn(16, 1, 8, 12)
    scores = SlidingWindowInferer((8, 8), 5, 0.5)(inputs, run)
    assert calls == [5] * 6 + [2]
    torch.testing.assert_close(scores, inputs, rtol=1e-5, atol=1e-5)


def test_windows_of_padding_do_not_take_a_place_in_a_batch():
    run, calls = counted(lambda windows: windows + 1)
    volume = torch.zeros(2, 1, 40, 8, 8)
    volume[..., 8:16, :, :], volume[..., 32:, :, :] = torch.randn(2, 1, 8, 8, 8), torch.randn(2, 1, 8, 8, 8)
    scores = SlidingWindowInferer((8, 8, 8), 4, 0, precision="float32")(volume, run)
    assert sorted(calls) == [1, 4]
    torch.testing.assert_close(scores, volume + 1)


@pytest.mark.parametrize("batch_size", [1, 2, 3, 7, 100])
def test_windows_are_added_up_in_one_order_whatever_the_batch(batch_size):
    """To the last bit: a label map does not depend on the memory there is."""
    image = torch.randn(1, 20, 14, 9, generator=torch.Generator().manual_seed(0))
    image[:, :8] = 0
    along = [stops(n, 8, 0.6) for n in image.shape[1:]]
    windows = Windows((8, 8, 8), along)

    def slabs(at_once):
        run, calls = counted(lambda windows: windows.sin() * 3)
        found = torch.cat(
            [slab.clone() for slab in blended_slabs([image], run, windows, batch_size=at_once)], dim=1
        )
        return found, calls

    (one, calls), (several, fewer) = slabs(1), slabs(batch_size)
    assert torch.equal(one, several)
    constant = 1
    assert len(fewer) == math.ceil((len(calls) - constant) / batch_size) + constant


def test_a_bar_counts_the_windows(capsys):
    SlidingWindowInferer((8, 8, 8), 2, 0.0, progress=True)(torch.randn(2, 1, 16, 8, 8), lambda windows: windows)
    assert "4/4" in capsys.readouterr().err
