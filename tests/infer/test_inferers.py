"""Inference: windows and slices put back where they were taken, as MONAI puts them."""

import monai.inferers
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.networks.nets import UNet

from medseg.infer.device import choose_device, fast_dtype, in_precision
from medseg.infer.inferers import SlidingWindowInferer, window_inferer


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


@settings(max_examples=25, deadline=None)
@given(
    shape=st.tuples(*[st.integers(8, 40)] * 3),
    window=st.tuples(*[st.sampled_from([8, 12, 16])] * 3),
    overlap=st.sampled_from([0.0, 0.25, 0.5, 0.7]),
    mode=st.sampled_from(["constant", "gaussian"]),
    batch=st.integers(1, 5),
    classes=st.integers(1, 4),
    sigma=st.sampled_from([0.02, 0.125, (0.1, 0.3, 0.2)]),
)
def test_the_scores_are_monai_s(shape, window, overlap, mode, batch, classes, sigma):
    torch.manual_seed(0)
    network = torch.nn.Conv3d(1, classes, 3, padding=1).eval()
    volume = torch.randn(2, 1, *shape)
    arguments = (window, batch, overlap, mode, sigma)
    with torch.inference_mode():
        theirs = monai.inferers.SlidingWindowInferer(*arguments)(volume, network)
    ours = SlidingWindowInferer(*arguments, precision="float32")(volume, network)
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


@settings(max_examples=15, deadline=None)
@given(
    shape=st.tuples(*[st.integers(5, 30)] * 3),
    axis=st.integers(0, 2),
    mode=st.sampled_from(["constant", "gaussian", "separable"]),
)
def test_slabs_along_any_axis_are_the_whole(shape, axis, mode):
    torch.manual_seed(0)
    network = torch.nn.Conv3d(2, 3, 3, padding=1).eval()
    inferer = SlidingWindowInferer((8, 8, 8), overlap=0.5, mode=mode, precision="float32")
    volume = torch.randn(2, *shape)
    slabs = [slab.clone() for slab in inferer.slabs(volume, network, axis=axis)]
    whole = inferer(volume[None], network)[0]
    torch.testing.assert_close(torch.cat(slabs, dim=1 + axis), whole, rtol=1e-4, atol=1e-5)
    other = (axis + 1) % 3
    for low, high in ((0, shape[other] // 2), (shape[other] // 2, shape[other])):
        slabs = [slab.clone() for slab in inferer.slabs(volume, network, axis=axis, part=(other, low, high))]
        part = whole.narrow(1 + other, low, high - low)
        torch.testing.assert_close(torch.cat(slabs, dim=1 + axis), part, rtol=1e-4, atol=1e-5)


def test_two_axes_mean_slices():
    seen = []
    inferer = window_inferer(patch_size=[8, 8], batch_size=4)
    volume = torch.randn(1, 1, 8, 8, 6)
    out = inferer(volume, lambda window: seen.append(window.shape) or window.float())
    assert out.shape == volume.shape
    assert {len(shape) for shape in seen} == {4}
    flat = SlidingWindowInferer((8, 8), overlap=0.5, precision="float32")
    torch.testing.assert_close(flat(volume[..., 0], lambda window: window), volume[..., 0])


def test_slices_of_a_volume_have_gaussian_weights_as_monai_s():
    network = torch.nn.Conv2d(1, 2, 3, padding=1).eval()
    volume = torch.randn(1, 1, 21, 30, 5)
    inferer = SlidingWindowInferer((12, 16), 3, (0.5, 0.7), "gaussian", (0.125, 0.06), precision="float32")
    found = inferer(volume, network)
    theirs = monai.inferers.SlidingWindowInferer((12, 16), 3, (0.5, 0.7), "gaussian", (0.125, 0.06))
    with torch.inference_mode():
        for n in range(volume.shape[-1]):
            torch.testing.assert_close(found[..., n], theirs(volume[..., n], network), rtol=1e-4, atol=1e-5)


def test_windows_of_padding_alone_are_run_once():
    seen = []
    volume = torch.zeros(1, 1, 40, 8, 8)
    volume[..., 32:, :, :] = torch.rand(8, 8, 8)
    inferer = SlidingWindowInferer((8, 8, 8), overlap=0, precision="float32")
    out = inferer(volume, lambda window: seen.append(1) or window + 1)
    assert len(seen) == 2
    torch.testing.assert_close(out, volume + 1)


def test_a_network_that_looks_the_same_everywhere_may_have_larger_windows():
    def windows(norm):
        network = UNet(3, 1, 2, (4, 8), (2,), norm=norm).eval()
        return window_inferer(patch_size=[96, 96, 96]).windows((256, 250, 40), network).size

    assert windows("batch") == [144, 144, 96]
    assert windows("instance") == [96, 96, 96]


def test_what_monai_s_arguments_cannot_be_is_refused():
    for wrong in ({"overlap": 1.0}, {"mode": "linear"}, {"precision": "float8"}):
        with pytest.raises(ValueError, match=r"less than 1|are known"):
            SlidingWindowInferer((8, 8, 8), **wrong)


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
@pytest.mark.parametrize("keep_on", ["cuda", "cpu"])
def test_gpu_agrees_with_cpu(keep_on):
    torch.manual_seed(0)
    network = UNet(3, 1, 2, (4, 8), (2,), norm="batch").eval()
    volume = torch.randn(1, 20, 20, 40)
    inferer = window_inferer(patch_size=[16, 16, 16], precision="float32")
    on_cpu = torch.cat([slab.clone() for slab in inferer.slabs(volume, network)], dim=1)
    inferer.sw_device = "cuda"
    slabs = [slab.cpu().clone() for slab in inferer.slabs(volume, network, keep_on=keep_on)]
    torch.testing.assert_close(torch.cat(slabs, dim=1), on_cpu, rtol=1e-3, atol=1e-3)
