"""A case in as much memory as there is: the same labels in every way, the peak known before."""

import pkgutil
from itertools import pairwise

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.networks.nets import UNet

from medseg.infer.inferers import window_inferer
from medseg.infer.memory_plans import plans, predict_bytes
from medseg.infer.native import NativeLabels
from medseg.infer.segmentation import label_image
from medseg.system_memory import MIB, resident_bytes

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return UNet(3, 1, 3, (8, 16), (2,), num_res_units=1, norm="instance").eval()


@pytest.fixture(scope="module")
def image() -> MetaTensor:
    """40×28×52 voxels of 1.5 mm, of a volume of 1 mm that lies mirrored and turned in its file."""
    torch.manual_seed(1)
    blobs = torch.nn.functional.interpolate(torch.randn(1, 1, 8, 6, 10), (40, 28, 52), mode="trilinear")[0]
    turned = np.array([[0, 1.0, 0, 3], [-1.0, 0, 0, 55], [0, 0, 1.0, -2], [0, 0, 0, 1]])
    grid = np.diag([1.5, 1.5, 1.5, 1.0])
    meta = {"spatial_shape": (40, 58, 75), "original_affine": turned}
    return MetaTensor(blobs, affine=torch.from_numpy(grid), meta=meta)


@pytest.fixture(scope="module")
def inferer():
    return window_inferer(patch_size=[16, 16, 16], precision="float32")


@pytest.fixture(scope="module")
def labels(image, network, inferer):
    return label_image(image, network, inferer).labels


def test_labels_are_those_of_the_whole_tensor_of_scores(image, network, inferer, labels):
    native = NativeLabels(
        native_shape=image.meta["spatial_shape"],
        native_affine=image.meta["original_affine"],
        grid_shape=image.shape[1:],
        grid_affine=np.asarray(image.affine),
        axis=0,
    )
    native.add(inferer(image[None].as_tensor(), network)[0])
    assert labels.shape == (40, 58, 75)
    assert len(np.unique(labels)) == 3
    assert (labels == native.finish()).mean() >= 0.9999


@pytest.mark.parametrize("n", range(len(list(plans(window_inferer(patch_size=[16] * 3), CPU)))))
def test_every_way_gives_the_same_labels(image, network, inferer, labels, monkeypatch, n):
    way = list(plans(inferer, CPU))[n]
    monkeypatch.setattr("medseg.infer.segmentation.plans", lambda *_: [way])
    done = label_image(image, network, inferer)
    assert (done.labels == labels).mean() >= 0.9999
    assert done.memory.way == str(way)
    assert set(done.confidence.facts()) == {"1", "2"}


def test_ways_need_less_and_less(image, network, inferer):
    needs = [predict_bytes(image, network, way) for way in plans(inferer, CPU)]
    here = resident_bytes()
    assert all(b - here <= a - here + MIB for a, b in pairwise(needs))
    assert needs[-1] < needs[0]


@pytest.mark.parametrize(
    "stage",
    [
        "infer.inferers.running",
        "infer.blending._Kept.add",
        "infer.native.NativeLabels.add",
        "infer.confidence.Confidence.add",  # in a thread of its own
    ],
)
@pytest.mark.parametrize("times", [1, 3])
def test_memory_that_runs_out_leads_to_the_next_smaller_way(
    image, network, inferer, labels, monkeypatch, stage, times
):
    place, _, name = stage.rpartition(".")
    holder = pkgutil.resolve_name(f"medseg.{place}")
    real, calls = getattr(holder, name), []

    def runs_out(*args, **kwargs):
        calls.append(1)
        if len(calls) <= times:
            raise RuntimeError(
                "[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes"
            )
        return real(*args, **kwargs)

    monkeypatch.setattr(holder, name, runs_out)
    done = label_image(image, network, inferer)
    assert (done.labels == labels).mean() >= 0.9999
    assert done.memory.ran_out == times


def test_other_errors_are_raised_at_once(image, inferer):
    def broken(_):
        raise RuntimeError("the network is broken")

    with pytest.raises(RuntimeError, match="is broken"):
        label_image(image, broken, inferer)


def test_a_budget_that_nothing_fits_is_refused(image, network, inferer):
    with pytest.raises(ValueError, match="raise --budget-mib") as caught:
        label_image(image, network, inferer, budget_mib=1)
    assert caught.value.code == "MEMORY_TOO_SMALL"


def test_a_smaller_budget_takes_a_smaller_way(image, network, inferer):
    needs = [predict_bytes(image, network, way) for way in plans(inferer, CPU)]
    memory = label_image(image, network, inferer, budget_mib=(needs[0] + needs[-1]) / 2 / MIB).memory
    assert not memory.way.endswith("parts: 1")


def test_confidence_is_the_mean_over_the_mask(image, network, inferer):
    scores = inferer(image[None].as_tensor(), network)[0].double()
    p = scores.softmax(dim=0)
    chosen = p.argmax(dim=0)
    done = label_image(image, network, inferer, keep_probabilities=True)
    for label in (1, 2):
        inside = p[:, chosen == label]
        entropy = -(inside * inside.log()).sum(dim=0).mean()
        facts = done.confidence.facts()[str(label)]
        assert facts["mean_probability"] == pytest.approx(float(inside[label].mean()), abs=1e-3)
        assert facts["mean_entropy_nats"] == pytest.approx(float(entropy), abs=1e-3)
        begin, crop = done.confidence.crops()[label]
        box = tuple(slice(b, b + n) for b, n in zip(begin, crop.shape, strict=True))
        np.testing.assert_allclose(crop, p[label][box], atol=5e-3)
        assert p[label].sum() - p[label][box].sum() < 1e-3 * p[label].numel()


def test_the_volume_is_uploaded_whole_before_its_windows_are_cut(image, network, inferer, monkeypatch):
    """The meta device stands in for a GPU."""
    devices = []

    def slabs(_, volume, *__, **___):
        devices.append(volume.device.type)
        raise NotImplementedError

    monkeypatch.setattr(type(inferer), "slabs", slabs)
    with pytest.raises(NotImplementedError):
        label_image(image, network, inferer, device="meta")
    assert devices == ["meta"]


@pytest.mark.gpu
def test_a_gpu_gives_the_labels_of_the_cpu_and_falls_back_to_it(image, network, inferer, labels, monkeypatch):
    gpu = torch.device("cuda")
    done = label_image(image, network, inferer, device=gpu)
    assert (done.labels == labels).mean() >= 0.999
    assert done.memory.way.startswith("cuda, sums on cuda")
    monkeypatch.setattr("medseg.infer.memory_plans.free_gpu_bytes", lambda _: 0)
    done = label_image(image, network, inferer, device=gpu)
    assert (done.labels == labels).mean() >= 0.9999
    assert done.memory.way.startswith("cpu")
