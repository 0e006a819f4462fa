"""Labels on the native grid, held against every class interpolated everywhere."""

import itertools
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.overrides import TorchFunctionMode

import medseg.infer.native
from medseg.errors.exceptions import InputError
from medseg.infer.native import NativeLabels


def reference(scores, native_shape, native_affine, grid_affine):
    """Return the labels by interpolating all scores in float64, and by how much each is the best."""
    index = np.indices(native_shape).reshape(3, -1)
    to_grid = np.linalg.inv(grid_affine) @ native_affine
    position = to_grid[:3, :3] @ index + to_grid[:3, 3:]
    last = np.array(scores.shape[1:])[:, None] - 1
    outside = ((position < -0.501) | (position > last + 0.501)).any(axis=0)
    position = position.clip(0, last)
    lower = np.minimum(np.floor(position + 1e-9).astype(int), np.maximum(last - 1, 0))
    upper, weight = np.minimum(lower + 1, last), position - lower
    total = np.zeros((len(scores), index.shape[1]))
    for corner in itertools.product((0, 1), repeat=3):
        i, j, k = (np.where(c, u, low) for c, u, low in zip(corner, upper, lower, strict=True))
        share = np.prod([np.where(c, w, 1 - w) for c, w in zip(corner, weight, strict=True)], axis=0)
        total += scores[:, i, j, k].astype(float) * share
    two_best = np.sort(total, axis=0)[-2:]
    margin = np.where(outside, np.inf, two_best[-1] - two_best[0])
    return np.where(outside, 0, total.argmax(axis=0)).reshape(native_shape), margin.reshape(native_shape)


def labels_of(scores, native_shape, native_affine, grid_affine, axis=0, depths=()):
    grid = {"grid_shape": scores.shape[1:], "grid_affine": grid_affine, "axis": axis}
    native = NativeLabels(native_shape=native_shape, native_affine=native_affine, **grid)
    start = 0
    for depth in itertools.chain(depths, itertools.repeat(scores.shape[1 + axis])):
        slab = torch.tensor(scores).narrow(1 + axis, start, min(depth, scores.shape[1 + axis] - start)).clone()
        native.add(slab)
        slab.fill_(torch.nan)  # the caller may use its memory again
        start += slab.shape[1 + axis]
        if start == scores.shape[1 + axis]:
            break
    return native.finish()


@st.composite
def grids(draw):
    """Scores, and a native grid turned, scaled and shifted against theirs, cut off or surrounded."""
    shape = draw(st.tuples(*[st.integers(1, 9)] * 3))
    native_shape = draw(st.tuples(*[st.integers(1, 12)] * 3))
    order = draw(st.permutations(range(3)))
    signs = draw(st.tuples(*[st.sampled_from([1, -1])] * 3))
    scales = draw(st.tuples(*[st.sampled_from([1.0, 1.0, 0.5, 2.0, 0.37, 1.3, 0.8 / 1.5])] * 3))
    shifts = draw(st.tuples(*[st.sampled_from([0.0, 0.0, 2.0, -3.0, 0.25, -1.6])] * 3))
    to_grid = np.eye(4)
    to_grid[:3, :3] = 0
    for axis, (grid_axis, sign, scale, shift) in enumerate(zip(order, signs, scales, shifts, strict=True)):
        to_grid[grid_axis, axis] = sign * scale
        to_grid[grid_axis, 3] = shift + (shape[grid_axis] - 1 if sign < 0 else 0)
    rotation = np.linalg.qr(np.random.default_rng(draw(st.integers(0, 9))).normal(size=(3, 3)))[0]
    grid_affine = np.eye(4)
    grid_affine[:3] = np.c_[rotation * (1.5, 0.7, 3.1), (-211.7, 340.3, -1024.9)]
    smooth = draw(st.booleans())
    classes = draw(st.integers(2, 12))
    scores = np.random.default_rng(draw(st.integers(0, 99))).normal(size=(classes, *shape)).astype(np.float32)
    if smooth:  # large regions of one label
        scores[draw(st.integers(0, classes - 1))] += 2
    return scores, native_shape, grid_affine @ to_grid, grid_affine


@settings(max_examples=300, deadline=None)
@given(
    grid=grids(),
    axis=st.integers(0, 2),
    depths=st.lists(st.integers(1, 4), max_size=9),
    dense_share=st.sampled_from([-1.0, 0.25, 1.0]),
    step=st.sampled_from([1, 300, 2**23]),
    chunk=st.sampled_from([5, 2**17]),
)
def test_as_if_every_class_were_interpolated_everywhere(grid, axis, depths, dense_share, step, chunk):
    expected, margin = reference(*grid)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(medseg.infer.native, "DENSE_SHARE", dense_share)  # all, some or none of the steps
        patch.setattr(medseg.infer.native, "STEP_ELEMENTS", step)
        patch.setattr(medseg.infer.native, "STEP_PLANES", 2)
        patch.setattr(medseg.infer.native, "CHUNK_VOXELS", chunk)
        found = labels_of(*grid, axis=axis, depths=depths)
    assert found.dtype == np.uint8
    assert found.flags.f_contiguous
    clear = margin > 1e-5
    np.testing.assert_array_equal(found[clear], expected[clear])


@pytest.mark.parametrize("classes", [2, 3, 12])
def test_the_first_of_equal_classes_on_the_same_grid(classes):
    scores = np.random.default_rng(0).integers(0, 3, (classes, 6, 5, 4)).astype(np.float32)
    found = labels_of(scores, (6, 5, 4), np.eye(4), np.eye(4), depths=[2, 1])
    np.testing.assert_array_equal(found, scores.argmax(axis=0))


def test_a_class_that_is_best_at_no_network_voxel_may_be_best_between_two():
    scores = np.array([[10, 0], [0, 10], [9, 9]], np.float32)[:, :, None, None]
    found = labels_of(scores, (3, 1, 1), np.diag([0.5, 1, 1, 1]), np.eye(4))
    assert found.flatten().tolist() == [0, 2, 1]


def test_what_was_cropped_away_is_background():
    scores = np.ones((2, 4, 4, 4), np.float32) * [[[[0]]], [[[1]]]]
    grid_affine = np.diag([2.0, 2, 2, 1])
    grid_affine[:3, 3] = 4
    found = labels_of(scores.astype(np.float32), (20, 20, 20), np.eye(4), grid_affine)
    expected = np.zeros((20, 20, 20), np.uint8)
    expected[3:12, 3:12, 3:12] = 1  # from 4 mm to 10 mm, and half a network voxel more
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(("classes", "dtype"), [(255, np.uint8), (256, np.uint8), (257, np.uint16)])
def test_many_classes(classes, dtype):
    scores = np.random.default_rng(0).normal(size=(classes, 3, 4, 5)).astype(np.float32)
    scores[-1, 1:] = 9
    native = (5, 7, 9), np.diag([0.5, 0.5, 0.5, 1]), np.eye(4)
    found = labels_of(scores, *native)
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, reference(scores, *native)[0])
    assert found.max() == classes - 1


def test_axes_that_are_not_parallel_are_refused():
    leaning = np.eye(4)
    leaning[0, 1] = 0.1
    grid = {"native_shape": (9, 9, 9), "grid_shape": (9, 9, 9), "grid_affine": np.eye(4), "axis": 0}
    with pytest.raises(InputError, match="parallel") as refusal:
        NativeLabels(native_affine=leaning, **grid)
    assert refusal.value.code == "GEOMETRY_BAD_AFFINE"


def test_planes_missing_or_too_many_are_named():
    grid = {"grid_shape": (4, 4, 4), "grid_affine": np.eye(4), "axis": 1}
    native = NativeLabels(native_shape=(4, 4, 4), native_affine=np.eye(4), **grid)
    native.add(torch.zeros(2, 4, 3, 4))
    with pytest.raises(ValueError, match="3 of 4 planes"):
        native.finish()
    with pytest.raises(ValueError, match="no slab"):
        native.add(torch.zeros(2, 3, 1, 4))
    with pytest.raises(ValueError, match="5 planes"):
        native.add(torch.zeros(2, 4, 2, 4))


MEASURE = """
import numpy as np, torch
from medseg.infer.native import NativeLabels
classes, axis, depth, cell = {numbers}
scores = torch.randn(1, classes, *[max(2, 96 // cell)] * 3)
scores = torch.nn.functional.interpolate(scores, size=(96, 120, 110), mode="trilinear")[0]
slabs = [slab.contiguous() for slab in scores.split(depth, dim=1 + axis)]
def kib(name):
    return int(next(line.split()[1] for line in open("/proc/self/status") if line.startswith(name)))
def labelled(size):
    native = NativeLabels(native_shape=(size,) * 3, native_affine=np.diag([0.4, -0.4, 0.4, 1]),
                          grid_shape=scores.shape[1:], grid_affine=np.diag([1.0, -1.0, 1.0, 1.0]), axis=axis)
    for slab in slabs:
        native.add(slab)
    return native, native.finish()
labelled(10)
open("/proc/self/clear_refs", "w").write("5")
before = kib("VmRSS")
native, labels = labelled(240)
print(1024 * (kib("VmHWM") - before) - labels.nbytes, native.extra_bytes(classes, depth))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux for a process's peak memory")
@pytest.mark.parametrize("numbers", [(2, 0, 32, 8), (3, 2, 16, 24), (12, 1, 64, 4), (30, 0, 32, 24)])
def test_memory_stays_below_what_is_said(numbers):
    script = MEASURE.format(numbers=numbers)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    taken, said = map(int, done.stdout.split())
    assert taken < said < 8 * max(taken, 50e6)


class HostCopies(TorchFunctionMode):
    """Notes what is asked to come to the host, as it would from a GPU."""

    def __init__(self):
        super().__init__()
        self.seen: list[torch.Tensor] = []

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func in (torch.Tensor.cpu, torch.Tensor.tolist) or "cpu" in (*args[1:], *kwargs.values()):
            self.seen.append(args[0])
        return func(*args, **kwargs)


@pytest.mark.parametrize("dense_share", [-1.0, 1.0])
def test_only_labels_come_back_to_the_host(monkeypatch, dense_share):
    monkeypatch.setattr(medseg.infer.native, "DENSE_SHARE", dense_share)
    with HostCopies() as copies:
        found = labels_of(
            np.random.default_rng(0).normal(size=(3, 8, 9, 10)).astype(np.float32),
            (12, 13, 14),
            np.diag([0.6, 0.6, 0.6, 1]),
            np.eye(4),
        )
    (labels,) = [tensor for tensor in copies.seen if tensor.numel() > 14]  # less are an axis's places
    assert labels.dtype == torch.uint8
    assert labels.numel() == found.size


@pytest.mark.gpu
def test_a_gpu_gives_the_labels_of_the_cpu():
    scores = torch.nn.functional.interpolate(torch.randn(1, 4, 6, 6, 6), size=(40, 30, 50), mode="trilinear")[0]
    grid = {"grid_shape": scores.shape[1:], "grid_affine": np.eye(4), "axis": 2}
    maps = []
    for device in ("cpu", "cuda"):
        native = NativeLabels(native_shape=(70, 60, 80), native_affine=np.diag([0.57, 0.5, 0.6, 1]), **grid)
        for slab in scores.to(device).split(16, dim=3):
            native.add(slab)
        maps.append(native.finish())
    assert (maps[0] == maps[1]).mean() >= 0.9999


@pytest.mark.parametrize("axis", range(3))
@pytest.mark.parametrize("coarse_axis", range(3))
def test_across_a_coarse_axis_the_nearest_plane_is_taken(axis, coarse_axis):
    scores = torch.randn(3, 6, 5, 7)
    fine = [0.7, 0.6, 0.8]
    native_shape = [8, 8, 8]
    grid = {"native_shape": native_shape, "native_affine": np.diag([*fine, 1]), "axis": axis}
    native = NativeLabels(grid_shape=scores.shape[1:], grid_affine=np.eye(4), coarse_axis=coarse_axis, **grid)
    native.add(scores.narrow(1 + axis, 0, 2))
    native.add(scores.narrow(1 + axis, 2, scores.shape[1 + axis] - 2))
    last = scores.shape[1 + coarse_axis] - 1
    nearest = np.floor(np.arange(8) * fine[coarse_axis] + 0.5).astype(int).clip(0, last)
    looked_up = scores.index_select(1 + coarse_axis, torch.from_numpy(nearest))
    spacing = [1.0, 1.0, 1.0]
    spacing[coarse_axis] = fine[coarse_axis]
    expected = labels_of(looked_up.numpy(), native_shape, np.diag([*fine, 1]), np.diag([*spacing, 1]))
    np.testing.assert_array_equal(native.finish(), expected)
