"""Preprocessing, and its exact undoing on the native grid."""

import itertools

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import ScaleIntensityRanged
from project import SAMPLES

from medseg.infer.postprocess import to_native_labels
from medseg.preprocess.intensity import Windowedd
from medseg.preprocess.keys import IMAGE, LABEL, PRED
from medseg.preprocess.pipeline import preprocessing
from medseg.read.volume import Volume

MR = {"kind": "mr", "percentiles": [0.5, 99.5]}


def orientations() -> list[np.ndarray]:
    """All 48 ways in which three voxel axes can run along R, A and S, with spacings 1, 2 and 3 mm."""
    affines = []
    for order in itertools.permutations(range(3)):
        for signs in itertools.product((1, -1), repeat=3):
            affine = np.eye(4)
            affine[:3, :3] = 0
            for axis, (world, sign) in enumerate(zip(order, signs, strict=True)):
                affine[world, axis] = sign * (axis + 1)
            affine[:3, 3] = (10, -20, 30)
            affines.append(affine)
    return affines


@pytest.mark.parametrize("affine", orientations())
def test_labels_come_back_exactly_from_every_orientation(affine, save):
    """A network that returned the reference as its scores would reproduce the file, voxel by voxel."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, (7, 9, 5)).astype(np.uint8)
    image = save("image.nii.gz", rng.normal(size=(7, 9, 5)).astype(np.float32), affine)
    label = save("label.nii.gz", labels, affine)
    steps = preprocessing(intensity=MR, patch_size=[12, 12, 12], labelled=True)
    data = steps({IMAGE: str(image), LABEL: str(label)})
    assert data[IMAGE].shape == (1, 12, 12, 12)
    scores = torch.nn.functional.one_hot(data[LABEL][0].long().as_tensor(), 3).permute(3, 0, 1, 2).float()
    only_image = preprocessing(intensity=MR, patch_size=[12, 12, 12])
    out = to_native_labels()({IMAGE: only_image({IMAGE: str(image)})[IMAGE], PRED: scores})
    np.testing.assert_array_equal(out[PRED][0].numpy(), labels)
    np.testing.assert_allclose(data[IMAGE].meta["original_affine"], affine)


def test_image_and_label_stay_together_when_resampled_and_cropped(save):
    image = np.full((20, 20, 10), -1000, np.int16)
    image[6:12, 4:16, 2:8] = 100
    steps = preprocessing(
        intensity={"kind": "ct", "window_hu": [-100, 200], "mean_hu": 0, "sd_hu": 100},
        spacing_mm=[2.0, 2.0, 2.0],
        crop_above=-500,
        labelled=True,
    )
    affine = np.diag([1.0, 1.0, 4.0, 1.0])
    paths = {IMAGE: save("i.nii.gz", image, affine), LABEL: save("l.nii.gz", (image > 0).astype(np.uint8), affine)}
    data = steps({key: str(path) for key, path in paths.items()})
    assert data[IMAGE].shape == data[LABEL].shape
    assert set(np.unique(data[LABEL])) <= {0, 1}
    bright, labelled = data[IMAGE] > 0, data[LABEL] > 0  # above 0 HU: half way between air and organ
    overlap = 2 * (bright & labelled).sum() / (bright.sum() + labelled.sum())
    assert overlap > 0.9
    assert data[LABEL].sum() * 8 == pytest.approx(6 * 12 * 6 * 4, rel=0.25)  # mm³


@pytest.mark.parametrize("scale", [1.0, 255.0, 1.7e6])
def test_mr_intensities_do_not_depend_on_the_scanner_s_unit(scale, save):
    image = np.random.default_rng(0).gamma(2, size=(16, 16, 16)).astype(np.float32)
    first = preprocessing(intensity=MR)({IMAGE: str(save("a.nii.gz", image))})[IMAGE]
    second = preprocessing(intensity=MR)({IMAGE: str(save("b.nii.gz", image * np.float32(scale)))})[IMAGE]
    torch.testing.assert_close(first.as_tensor(), second.as_tensor(), rtol=1e-3, atol=1e-3)
    assert abs(first.mean()) < 1e-3
    assert abs(first.std() - 1) < 1e-2


def test_a_constant_image_gives_zeros(save):
    out = preprocessing(intensity=MR)({IMAGE: str(save("a.nii.gz", np.full((8, 8, 8), 7, np.uint8)))})[IMAGE]
    assert torch.count_nonzero(out) == 0


def test_ct_window_maps_hounsfield_units_as_written(save):
    image = np.array([-1000, -100, 0, 100, 3000], np.int16).reshape(5, 1, 1)
    intensity = {"kind": "ct", "window_hu": [-100, 200], "mean_hu": 50, "sd_hu": 25}
    out = preprocessing(intensity=intensity)({IMAGE: str(save("a.nii.gz", image))})[IMAGE]
    np.testing.assert_allclose(out.flatten(), [-6, -6, -2, 2, 6], atol=1e-5)


def test_the_window_is_scaled_as_monai_does_to_the_last_bit():
    image = torch.randn(1, 21, 9, 8) * 300
    limits = [(hu - 99.3) / 39.5 for hu in (-41, 176)]
    expected = ScaleIntensityRanged(IMAGE, -41, 176, *limits, clip=True)({IMAGE: MetaTensor(image)})[IMAGE]
    found = Windowedd(IMAGE, (-41, 176), limits)({IMAGE: MetaTensor(image.clone())})[IMAGE]
    assert torch.equal(found.as_tensor(), expected.as_tensor())


@pytest.mark.parametrize("crop_above", [None, -500])
def test_the_volume_that_was_read_stays_as_it_is(crop_above):
    """Also where no step has to copy it."""
    array = np.random.default_rng(0).normal(0, 400, (9, 8, 7)).astype(np.float32)
    volume = Volume(array=array.copy(), affine=np.eye(4))
    steps = preprocessing(
        intensity={"kind": "ct", "window_hu": [-100, 200], "mean_hu": 0, "sd_hu": 100}, crop_above=crop_above
    )
    out = steps({IMAGE: volume})[IMAGE]
    np.testing.assert_array_equal(volume.array, array)
    assert out.is_contiguous()


def test_ct_percentiles_then_global_statistics(save):
    image = np.arange(1000, dtype=np.int16).reshape(10, 10, 10)
    intensity = {"kind": "ct", "percentiles": [10, 90], "mean_hu": 100, "sd_hu": 10}
    out = preprocessing(intensity=intensity)({IMAGE: str(save("a.nii.gz", image))})[IMAGE]
    assert out.min() == pytest.approx((99.9 - 100) / 10, abs=1e-3)
    assert out.max() == pytest.approx((899.1 - 100) / 10, abs=1e-3)


def test_wrong_numbers_are_named():
    with pytest.raises(ValueError, match="'us'"):
        preprocessing(intensity={"kind": "us"})
    with pytest.raises(ValueError, match="window_hu"):
        preprocessing(intensity={"kind": "ct", "mean_hu": 0, "sd_hu": 1})


def test_dicom_and_nifti_of_one_volume_give_the_same_input():
    held_back = SAMPLES / "mr_held_back"
    dicom = preprocessing(intensity=MR)({IMAGE: str(held_back / "images/mr_19")})[IMAGE]
    labels = preprocessing(intensity=MR, labelled=True)(
        {IMAGE: str(held_back / "images/mr_19"), LABEL: str(held_back / "labels/mr_19.nii.gz")}
    )[LABEL]
    inside, outside = dicom[labels > 0].mean(), dicom[labels == 0].mean()
    assert inside - outside > 1.0  # the label lies on the bright structure, so the DICOM grid is right
