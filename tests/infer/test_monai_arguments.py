"""What MONAI's inferer takes is taken, with its results, or refused by name."""

import inspect

import monai.inferers
import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.networks.nets import DynUNet
from torch import nn

from medseg.infer.inferers import SlidingWindowInferer, window_inferer
from medseg.infer.windows import importance

NETWORK = nn.Conv3d(1, 2, 3, padding=1).eval()
FLAT = nn.Conv2d(1, 2, 3, padding=1).eval()


@pytest.fixture
def volume():
    return torch.randn(2, 1, 14, 20, 24, generator=torch.Generator().manual_seed(0))


def both(arguments, inputs, network, *args, **kwargs):
    with torch.no_grad():
        theirs = monai.inferers.SlidingWindowInferer(**arguments)(inputs, network, *args, **kwargs)
    return SlidingWindowInferer(**arguments, precision="float32")(inputs, network, *args, **kwargs), theirs


def test_every_argument_of_monai_s_is_there_in_its_place():
    theirs = list(inspect.signature(monai.inferers.SlidingWindowInferer).parameters)
    ours = inspect.signature(SlidingWindowInferer).parameters
    assert list(ours)[: len(theirs)] == theirs
    defaults = inspect.signature(monai.inferers.SlidingWindowInferer).parameters
    assert all(
        ours[name].default == defaults[name].default for name in theirs if name not in ("mode", "padding_mode")
    )


@pytest.mark.parametrize(
    "arguments",
    [
        {"roi_size": 10},
        {"roi_size": (8, None, 12)},
        {"roi_size": (8, -1, 0)},
        {"roi_size": (16, 8, 32), "overlap": (0.25, 0.5, 0.0)},
        {"roi_size": (32, 8, 12), "padding_mode": "reflect"},
        {"roi_size": (32, 8, 12), "cval": 2.0},
        {"roi_size": 12, "sw_batch_size": 3, "cache_roi_weight_map": False, "cpu_thresh": 10},
        {"roi_size": 12, "buffer_steps": 2, "buffer_dim": 0},
        {"roi_size": (12, 12, 12), "cache_roi_weight_map": True, "device": "cpu"},
    ],
)
def test_scores_are_monai_s(arguments, volume):
    torch.testing.assert_close(*both(arguments, volume, NETWORK), rtol=1e-4, atol=1e-5)


def test_sigma_of_each_axis(volume):
    arguments = {"roi_size": 8, "overlap": 0.5, "mode": "gaussian", "sigma_scale": (0.1, 0.4, 0.2)}
    torch.testing.assert_close(*both(arguments, volume, NETWORK), rtol=1e-4, atol=1e-5)


def test_the_gaussian_of_the_bundles_is_monai_s_but_for_the_lower_bound(monkeypatch, volume):
    ours = window_inferer(patch_size=(8, 8, 8), precision="float32", adapt=False)(volume, NETWORK)
    shape = importance(8, "separable", 0.125).float()
    weights = shape[:, None, None] * shape[:, None] * shape
    monkeypatch.setattr("monai.inferers.utils.compute_importance_map", lambda *_, **__: weights)
    with torch.no_grad():
        unlifted = monai.inferers.sliding_window_inference(volume, (8, 8, 8), 1, NETWORK, 0.5, "gaussian")
    assert (ours - unlifted).abs().max() < 0.01 * unlifted.abs().max()
    assert (ours.argmax(dim=1) == unlifted.argmax(dim=1)).float().mean() > 0.999


def test_what_is_left_to_monai_has_its_gaussian(volume):
    network = Several("tuple").eval()
    arguments = {"roi_size": (8, 8, 8), "overlap": 0.5, "precision": "float32"}
    separable = SlidingWindowInferer(**arguments, mode="separable")(volume, network)
    torch.testing.assert_close(separable, SlidingWindowInferer(**arguments, mode="gaussian")(volume, network))


def test_images_of_any_number_of_axes(volume):
    line = nn.Conv1d(1, 2, 3, padding=1).eval()
    for inputs, network in ((volume[:, :, 0], FLAT), (volume[:, :, 0, 0], line)):
        torch.testing.assert_close(*both({"roi_size": 8}, inputs, network), rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match="2 spatial axes"):
        SlidingWindowInferer((8, 8, 8))(volume[:, :, 0], FLAT)


def test_arguments_of_a_call(volume):
    class Conditioned(nn.Module):
        def forward(self, x, condition):
            return x + 2 * condition

    arguments = {"roi_size": 10, "overlap": 0.5}
    torch.testing.assert_close(*both(arguments, volume, Conditioned(), condition=volume.flip(2)))
    ours, theirs = both(arguments, volume, NETWORK, device="cpu", buffer_steps=1, buffer_dim=1)
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
    for name in ("roi_weight_map", "process_fn", "overlap"):
        with pytest.raises(ValueError, match=name):
            SlidingWindowInferer(**arguments)(volume, NETWORK, **{name: None})


def test_coordinates_reach_the_network(volume):
    def from_place(windows, places):
        starts = torch.tensor([float(place[2].start) for place in places])
        return windows * 0 + starts.view(-1, 1, 1, 1, 1)

    arguments = {"roi_size": 10, "sw_batch_size": 2, "with_coord": True}
    torch.testing.assert_close(*both(arguments, volume, from_place))
    with pytest.raises(ValueError, match="with_coord"):
        SlidingWindowInferer(**arguments).slabs(volume[0], from_place)


class Several(nn.Module):
    def __init__(self, kind):
        super().__init__()
        self.conv, self.pool, self.kind = NETWORK, nn.AvgPool3d(2), kind

    def forward(self, x):
        scores = self.conv(x)
        return {
            "list of one": [scores],
            "tuple": (scores, self.pool(scores)),
            "list": [scores, scores * 2],
            "dictionary": {"scores": scores, "twice": scores * 2},
            "smaller": self.pool(scores),
        }[self.kind]


@pytest.mark.parametrize("kind", ["list of one", "tuple", "list", "dictionary", "smaller"])
def test_outputs_have_monai_s_structure(kind, volume):
    network = Several(kind).eval()
    ours, theirs = both({"roi_size": (8, 8, 8), "overlap": 0.5}, volume, network)
    assert type(ours) is type(theirs)
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
    slabs = SlidingWindowInferer((8, 8, 8), 1, 0.5, precision="float32").slabs(volume[0], network)
    if kind == "smaller":
        with pytest.raises(ValueError, match="4×4×4 voxels for a window of 8×8×8") as caught:
            next(slabs)
        assert caught.value.code == "NETWORK_BAD_OUTPUT"
    else:
        first = torch.cat([slab.clone() for slab in slabs], dim=1)
        expected = SlidingWindowInferer((8, 8, 8), 1, 0.5, precision="float32")(volume, NETWORK)[0]
        torch.testing.assert_close(first, expected, rtol=1e-4, atol=1e-5)


def test_a_network_without_scores_is_refused(volume):
    with pytest.raises(ValueError, match="without a tensor"):
        next(SlidingWindowInferer((8, 8, 8)).slabs(volume[0], lambda _: {}))


def test_deep_supervision_in_training_mode_is_monai_s(volume):
    torch.manual_seed(0)
    network = DynUNet(3, 1, 2, [3] * 3, [1, 2, 2], [2, 2], (4, 8, 16), deep_supervision=True, deep_supr_num=1)
    torch.testing.assert_close(*both({"roi_size": (8, 8, 8)}, volume, network.eval()), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_gradients_reach_inputs_that_require_them(precision, volume):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv3d(1, 4, 3, padding=1), nn.ReLU(), nn.Conv3d(4, 2, 3, padding=1)).eval()
    arguments = {"roi_size": 10, "overlap": 0.5, "mode": "gaussian"}
    found = []
    for inferer in (
        SlidingWindowInferer(**arguments, precision=precision),
        monai.inferers.SlidingWindowInferer(**arguments),
    ):
        inputs = volume.clone().requires_grad_()
        network.zero_grad()
        inferer(inputs, network)[:, 1].sum().backward()
        found.append((inputs.grad, network[0].weight.grad.clone()))
    allowed = 1e-4 if precision == "float32" else 0.1
    for ours, theirs in zip(*found, strict=True):
        assert (ours - theirs).norm() <= allowed * theirs.norm()


def test_without_gradients_the_own_windows_are_run_whatever_the_input_requires(volume):
    with torch.no_grad():
        scores = SlidingWindowInferer(10, precision="float32")(volume.clone().requires_grad_(), NETWORK)
    assert not scores.requires_grad
    slabs = SlidingWindowInferer(10).slabs(volume[0].clone().requires_grad_(), NETWORK)
    assert not any(slab.requires_grad for slab in slabs)


@pytest.mark.parametrize("kind", [np.array, torch.tensor])
def test_arguments_may_be_arrays_and_tensors(kind, volume):
    arguments = {"roi_size": (8, 10, 12), "overlap": (0.25, 0.5, 0.0), "sigma_scale": (0.1, 0.2, 0.3)}
    expected = SlidingWindowInferer(**arguments, mode="gaussian", precision="float32")(volume, NETWORK)
    arrays = {name: kind(value) for name, value in arguments.items()}
    found = SlidingWindowInferer(**arrays, mode="gaussian", precision="float32")(volume, NETWORK)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)
    one = SlidingWindowInferer(kind(10), overlap=kind(0.5), precision="float32")(volume[:, :, 0], FLAT)
    torch.testing.assert_close(one, SlidingWindowInferer(10, 1, 0.5, precision="float32")(volume[:, :, 0], FLAT))


def test_metadata_stay(volume):
    image = MetaTensor(volume[:1], affine=torch.diag(torch.tensor([2.0, 3, 4, 1])), meta={"name": "it"})
    scores = SlidingWindowInferer((8, 8, 8))(image, NETWORK)
    assert isinstance(scores, MetaTensor)
    assert torch.equal(scores.affine, image.affine)
    assert scores.meta["name"] == "it"


@pytest.mark.parametrize(
    "wrong",
    [{"overlap": (0.5, 0.5)}, {"overlap": (0.5, 1.0, 0.5)}, {"sigma_scale": (0.1,)}, {"roi_size": (8, 8, 8, 8)}],
)
def test_what_does_not_fit_the_axes_is_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        SlidingWindowInferer(**{"roi_size": (8, 8, 8), **wrong})
