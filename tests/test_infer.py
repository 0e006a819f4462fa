"""Inference: windows and slices put back where they were taken."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from medseg.infer import (
    SliceInferer,
    SlidingWindowInferer,
    choose_device,
    fast_dtype,
    in_precision,
    window_inferer,
)


@settings(max_examples=20, deadline=None)
@given(
    shape=st.tuples(*[st.integers(5, 25)] * 3),
    axes=st.sampled_from([2, 3]),
    overlap=st.sampled_from([0.0, 0.25, 0.5]),
)
def test_an_identity_network_returns_its_input(shape, axes, overlap):
    volume = torch.randn(1, 1, *shape)
    inferer = window_inferer(patch_size=[8, 12, 10][:axes], overlap=overlap, precision="float32")
    torch.testing.assert_close(inferer(volume, lambda window: window), volume, rtol=1e-5, atol=1e-5)


def test_two_axes_mean_slices():
    seen = []
    inferer = window_inferer(patch_size=[8, 8], batch_size=4)
    inferer(torch.zeros(1, 1, 8, 8, 6), lambda window: seen.append(window.shape) or window)
    assert isinstance(inferer, SliceInferer)
    assert isinstance(window_inferer(patch_size=[8, 8, 8]), SlidingWindowInferer)
    assert {len(shape) for shape in seen} == {4}
    assert sum(shape[0] for shape in seen) == 6


def test_precision_reaches_the_network_and_results_are_float32():
    convolution = torch.nn.Conv3d(1, 2, 3)
    kinds = []
    convolution.register_forward_hook(lambda *arguments: kinds.append(arguments[2].dtype))
    for precision, kind in [("float32", torch.float32), ("bfloat16", torch.bfloat16), ("auto", fast_dtype("cpu"))]:
        out = in_precision(convolution, precision)(torch.zeros(1, 1, 8, 8, 8))
        assert out.dtype == torch.float32
        assert kinds.pop() == kind
    with pytest.raises(ValueError, match="float8"):
        in_precision(convolution, "float8")


def test_devices():
    assert choose_device("cpu") == torch.device("cpu")
    assert choose_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    assert choose_device(torch.device("cpu")) == torch.device("cpu")
    with pytest.raises(ValueError, match="'tpu'"):
        choose_device("tpu")


@pytest.mark.gpu
def test_gpu_agrees_with_cpu():
    torch.manual_seed(0)
    network = torch.nn.Conv3d(1, 2, 3, padding=1)
    volume = torch.randn(1, 1, 20, 20, 20)
    inferer = window_inferer(patch_size=[16, 16, 16], precision="float32")
    on_cpu = inferer(volume, network)
    torch.testing.assert_close(inferer(volume.cuda(), network.cuda()).cpu(), on_cpu, rtol=1e-3, atol=1e-3)
