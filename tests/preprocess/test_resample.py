"""Resampling: the grid of MONAI's Spacing, the values of SimpleITK's resampler."""

import itertools

import numpy as np
import pytest
import scipy.ndimage
import SimpleITK
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from monai.data import MetaTensor
from monai.transforms import Compose, Orientationd, Spacingd

import medseg.preprocess.resample
from medseg.errors.exceptions import InputError
from medseg.preprocess.resample import SAME_SPACING_MM, Resampled, resample, resample_labels

RAS_LABELS = (("L", "R"), ("P", "A"), ("I", "S"))


def itk_image(voxels, affine):
    image = SimpleITK.GetImageFromArray(np.ascontiguousarray(voxels.T))
    to_lps = np.diag([-1.0, -1, 1])
    spacing_mm = np.linalg.norm(affine[:3, :3], axis=0)
    image.SetSpacing(spacing_mm)
    image.SetDirection((to_lps @ affine[:3, :3] / spacing_mm).flatten())
    image.SetOrigin(to_lps @ affine[:3, 3])
    return image


def by_itk(voxels, affine, new_shape, new_affine):
    """Return what SimpleITK's linear interpolation gives, and NaN outside of the old voxels' centres."""
    new = itk_image(np.zeros(new_shape, np.float32), new_affine)
    image = SimpleITK.Cast(itk_image(voxels, affine), SimpleITK.sitkFloat64)
    values = SimpleITK.GetArrayFromImage(
        SimpleITK.Resample(image, new, SimpleITK.Transform(), SimpleITK.sitkLinear)
    ).T
    index = np.indices(new_shape).reshape(3, -1)
    to_old = np.linalg.inv(affine) @ new_affine
    position = to_old[:3, :3] @ index + to_old[:3, 3:]
    inside = ((position > -1e-6) & (position < np.array(voxels.shape)[:, None] - 1 + 1e-6)).all(axis=0)
    return np.where(inside.reshape(new_shape), values, np.nan)


def oblique(seed, spacing_mm):
    rng = np.random.default_rng(seed)
    affine = np.eye(4)
    affine[:3, :3] = np.linalg.qr(rng.normal(size=(3, 3)))[0] * spacing_mm  # also mirrored
    affine[:3, 3] = rng.normal(0, 300, 3)
    return affine


spacings = st.tuples(*[st.sampled_from([0.31, 0.8, 0.97, 1.0, 1.5, 2.0, 3.3, 5.0])] * 3)


@settings(max_examples=150, deadline=None)
@given(
    shape=st.tuples(*[st.integers(1, 14)] * 3),
    seed=st.integers(0, 99),
    spacing_mm=spacings,
    wanted_mm=st.tuples(*[st.sampled_from([0.5, 1.0, 1.5, 1.7, 4.0, -1.0])] * 3),
    dtype=st.sampled_from([np.int16, np.uint16, np.uint8, np.float32, np.int32]),
    order=st.sampled_from(["C", "F"]),
    orientation=st.sampled_from([None, "RAS", "LPS", "SAR", "PIL"]),
    block=st.sampled_from([1, 50, 2**20]),
)
def test_grid_and_values(shape, seed, spacing_mm, wanted_mm, dtype, order, orientation, block):
    affine = oblique(seed, spacing_mm)
    voxels = np.random.default_rng(seed).integers(0, 200, shape).astype(dtype, order=order)
    half = (np.array(shape)[:, None] - 1) * np.array(spacing_mm)[:, None] / np.array([0.5, 1, 1.5, 1.7, 4]) % 1
    assume((np.abs(half - 0.5) > 1e-6).all())  # where the size is a matter of MONAI's rounding errors
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(medseg.preprocess.resample, "BLOCK_VOXELS", block)
        found, new_affine = resample(
            torch.from_numpy(voxels), affine, spacing_mm=wanted_mm, orientation=orientation
        )
    steps = [Orientationd("a", axcodes=orientation, labels=RAS_LABELS)] if orientation else []
    monai = Compose([*steps, Spacingd("a", pixdim=wanted_mm, dtype=np.float64)])
    expected = monai({"a": MetaTensor(torch.from_numpy(voxels.astype(np.float32))[None], affine=affine)})["a"]
    assert found.shape == expected.shape[1:]
    np.testing.assert_allclose(new_affine, expected.affine, atol=1e-8)
    assert found.dtype == torch.float32
    assert found.is_contiguous()
    np.testing.assert_allclose(found, expected[0], atol=200e-3)
    values = by_itk(voxels, affine, found.shape, new_affine)
    inside = ~np.isnan(values)
    np.testing.assert_allclose(found.numpy()[inside], values[inside], atol=200e-3)


@pytest.mark.parametrize("signs", list(itertools.product((1, -1), repeat=3)))
@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_what_keeps_its_spacing_keeps_its_voxels_bit_by_bit(order, signs):
    voxels = torch.randn(5, 6, 7)
    affine = np.eye(4)
    affine[:3, :3] = np.diag(signs)[list(order)] * (1.0, 1.0 + SAME_SPACING_MM / 2, 1.0 - SAME_SPACING_MM / 2)
    found, new_affine = resample(voxels, affine, spacing_mm=(1, 1, 1), orientation="RAS")
    image = {"a": MetaTensor(voxels[None], affine=affine)}
    expected = Orientationd("a", axcodes="RAS", labels=RAS_LABELS)(image)["a"]
    assert torch.equal(found, expected[0].as_tensor())
    np.testing.assert_array_equal(new_affine, expected.affine)


def test_one_axis_alone():
    """Two planes 3 mm apart, asked for every 1 mm."""
    voxels = torch.tensor([0, 30], dtype=torch.int16)[:, None, None].expand(2, 4, 5)
    found, affine = resample(voxels, np.diag([3.0, 1.3, 0.7, 1]), spacing_mm=(1, -1, -1))
    assert found[:, 2, 2].tolist() == pytest.approx([0, 10, 20, 30])
    np.testing.assert_array_equal(affine, np.diag([1, 1.3, 0.7, 1]))


def test_labels_are_looked_up():
    labels = torch.tensor([1, 2, 7], dtype=torch.uint8)[:, None, None]
    found, _ = resample(labels, np.diag([2.0, 1, 1, 1]), spacing_mm=(0.8, -1, -1), mode="nearest")
    assert found.flatten().tolist() == [1, 1, 2, 2, 7, 7]  # 0, 0.4, 0.8, 1.2, 1.6, 2.0


def test_transform_keeps_the_facts_and_sets_the_affine():
    image = MetaTensor(torch.rand(1, 8, 8, 8), affine=np.diag([2.0, 2, 2, 1]), meta={"filename_or_obj": "x"})
    label = MetaTensor(torch.randint(2, (1, 8, 8, 8), dtype=torch.uint8), affine=image.affine)
    steps = Resampled(["image", "label"], (1, 1, 1), ["linear", "nearest"], "LAS")
    out = steps({"image": image, "label": label, "id": "x"})
    assert out["image"].shape == out["label"].shape == (1, 15, 15, 15)
    assert out["image"].meta["filename_or_obj"] == "x"
    np.testing.assert_array_equal(out["image"].affine, [[-1, 0, 0, 14], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    np.testing.assert_array_equal(out["image"].affine, out["label"].affine)
    np.testing.assert_array_equal(image.affine, np.diag([2, 2, 2, 1]))  # the input's stays
    assert out["label"].unique().tolist() == [0, 1]


def test_wrong_numbers_are_named():
    for how in (
        {"mode": "quintic"},
        {"coarse_axis": 3},
        {"spacing_mm": (1, 1)},
        {"spacing_mm": (1, float("nan"), 1)},
    ):
        with pytest.raises(InputError, match="three numbers"):
            resample(torch.zeros(2, 2, 2), np.eye(4), **how)


@settings(max_examples=60, deadline=None)
@given(
    shape=st.tuples(*[st.integers(1, 40)] * 3),
    seed=st.integers(0, 99),
    wanted_mm=st.tuples(*[st.sampled_from([0.4, 1.0, 1.7, 3.1, -1.0])] * 3),
    order=st.sampled_from(["C", "F"]),
    orientation=st.sampled_from([None, "LPS", "SAR"]),
    block=st.sampled_from([1, 500, 2**20]),
    coarse_axis=st.sampled_from([None, 0, 2]),
)
def test_cubic_values_are_those_of_scipy(shape, seed, wanted_mm, order, orientation, block, coarse_axis):
    voxels = np.random.default_rng(seed).integers(-1000, 1000, shape).astype(np.int16, order=order)
    affine = np.diag([1.0, 1.2, 0.9, 1.0])
    grid = {"spacing_mm": wanted_mm, "orientation": orientation}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(medseg.preprocess.resample, "BLOCK_VOXELS", block)
        found, new_affine = resample(
            torch.from_numpy(voxels), affine, **grid, mode="cubic", coarse_axis=coarse_axis
        )
    to_old = np.linalg.inv(affine) @ new_affine
    values = voxels.astype(float)
    index = np.indices(found.shape).reshape(3, -1)
    position = to_old[:3, :3] @ index + to_old[:3, 3:]
    for new, old in enumerate(np.abs(to_old[:3, :3]).argmax(axis=0)):
        step = abs(to_old[old, new])
        position[old] = position[old].clip(0, shape[old] - 1)
        if new == coarse_axis:
            position[old] = np.floor(position[old] + 0.5)
        elif step > 1 + SAME_SPACING_MM and shape[old] > 1:
            values = scipy.ndimage.gaussian_filter1d(values, (step - 1) / 2, axis=old, mode="mirror")
    expected = scipy.ndimage.map_coordinates(values, position, order=3, mode="mirror").reshape(found.shape)
    np.testing.assert_allclose(found, expected, atol=0.01)


def test_labels_go_by_their_share_where_voxels_grow_and_are_looked_up_where_they_shrink():
    labels = torch.tensor([0, 3, 3, 0, 0, 0, 7, 7], dtype=torch.uint8)[:, None, None]
    coarser, affine = resample_labels(labels, np.eye(4), spacing_mm=(2.3, -1, -1))  # at 0, 2.3, 4.6, 6.9
    assert coarser.flatten().tolist() == [0, 3, 0, 7]
    np.testing.assert_array_equal(affine, np.diag([2.3, 1, 1, 1]))
    finer, _ = resample_labels(labels, np.eye(4), spacing_mm=(0.7, -1, -1))
    expected, _ = resample(labels, np.eye(4), spacing_mm=(0.7, -1, -1), mode="nearest")
    assert torch.equal(finer, expected)


def test_a_coarse_axis_stands_in_the_metadata():
    image = MetaTensor(torch.rand(2, 8, 9, 4), affine=np.diag([1.0, 1, 8, 1]))
    out = Resampled("image", (1.5, 1.5, 3), "cubic", coarse_axis=2)({"image": image})["image"]
    assert out.shape == (2, 6, 6, 9)
    assert out.meta["coarse_axis"] == 2
    planes = out[0].as_tensor().unbind(-1)
    assert sum(torch.equal(a, b) for a, b in itertools.pairwise(planes)) == 5  # nine planes of four
