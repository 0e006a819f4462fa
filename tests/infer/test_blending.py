"""Windows are run in full batches, and added up in their order."""

import math

import pytest
import torch

from medseg.infer.blending import blended_slabs
from medseg.infer.inferers import SlidingWindowInferer, window_inferer
from medseg.infer.windows import Windows, is_constant, stops, which_are_constant


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


@pytest.mark.parametrize("batch_size", [1, 3])
@pytest.mark.parametrize("constant", [False, True])
@pytest.mark.parametrize("roi_size", [8, (8, 16, 16), None])
def test_a_network_that_works_in_place_leaves_the_input_alone(batch_size, constant, roi_size):
    volume = torch.ones(1, 1, 16, 16, 16) if constant else torch.randn(1, 1, 16, 16, 16)
    before = volume.clone()
    scores = SlidingWindowInferer(roi_size, batch_size, 0.5, precision="float32")(volume, lambda x: x.mul_(2))
    assert torch.equal(volume, before)
    torch.testing.assert_close(scores, 2 * before)


def test_a_network_that_works_in_place_leaves_what_monai_s_function_is_given_alone():
    volume = torch.randn(1, 1, 16, 16, 16)
    before = volume.clone()
    SlidingWindowInferer((8, 16, 16), precision="float32")(volume, lambda x: (x.mul_(2), x))
    assert torch.equal(volume, before)


def test_a_network_may_give_the_same_memory_at_each_call():
    buffer = torch.empty(1, 1, 8, 8, 8)
    volume = torch.zeros(1, 1, 32, 8, 8)
    volume[:, :, 8:16] = torch.randn(8, 8)  # between windows of zeros
    inferer = SlidingWindowInferer(8, 1, 0, precision="float32")
    torch.testing.assert_close(inferer(volume, lambda x: buffer.copy_(x + 1)), volume + 1)


def test_constant_windows_are_told_apart_in_their_own_precision():
    """1e8 and 1e8 + 1 are one number in float32."""
    volume = torch.full((1, 1, 16, 8, 8), 10**8, dtype=torch.float64)
    volume[:, :, 8:] += 1
    network = torch.nn.Conv3d(1, 1, 1).double().eval()
    torch.nn.init.ones_(network.weight)
    torch.nn.init.constant_(network.bias, -(10**8))
    scores = SlidingWindowInferer(8, 1, 0, precision="float32")(volume, network)
    torch.testing.assert_close(scores[0, 0, :, 0, 0], torch.tensor([0.0] * 8 + [1.0] * 8))


def test_a_bar_counts_the_windows(capsys):
    SlidingWindowInferer((8, 8, 8), 2, 0.0, progress=True)(torch.randn(2, 1, 16, 8, 8), lambda windows: windows)
    assert "4/4" in capsys.readouterr().err


def test_weights_are_made_once_however_many_windows_have_them(monkeypatch):
    made = []
    outer = torch.outer
    monkeypatch.setattr(torch, "outer", lambda *pair: made.append(1) or outer(*pair))
    inferer = SlidingWindowInferer((8, 8, 8), 1, 0.5, mode="separable")
    for _ in inferer.slabs(torch.randn(1, 64, 16, 20), lambda window: window):
        pass
    assert len(made) == 3 * 4  # of the stops across, whatever the number along


class OnGpu(torch.Tensor):
    """A tensor that says that it lies on a GPU."""

    device = property(lambda _: torch.device("cuda"))


def test_a_gpu_is_waited_for_once_to_tell_which_windows_are_constant(monkeypatch):
    image = torch.zeros(2, 9, 8, 8)
    image[0, 4:, 3, 3] = 1
    windows = [image[:, n : n + 3] for n in range(7)]
    expected = [is_constant(window) for window in windows]
    assert set(expected) == {True, False}
    assert list(which_are_constant(windows)) == expected
    waits = []
    monkeypatch.setattr(torch.Tensor, "__bool__", lambda _: waits.append(1))
    monkeypatch.setattr(torch, "equal", lambda *_: waits.append(1))
    assert list(which_are_constant([window.as_subclass(OnGpu) for window in windows])) == expected
    assert waits == []
