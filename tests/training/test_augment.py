"""Augmentation: image and label together, labels never blended, the same draw for the same key."""

import numpy as np
import pytest
import torch
from monai.data import DataLoader

from medseg.training.augment import augmentation
from medseg.training.datasets import AugmentedDataset, EpochSampler


def case(shape=(1, 20, 24, 16)) -> dict[str, torch.Tensor]:
    label = torch.zeros(shape)
    label[:, 6:14, 8:16, 4:12] = 2
    return {"image": label * 3.0, "label": label}


@pytest.mark.parametrize("patch_size", [[16, 16, 16], [16, 16]])
def test_image_and_label_move_together(patch_size):
    still_intensities = augmentation(patch_size=patch_size, flip_axes=[0])
    dataset = AugmentedDataset([case()], still_intensities, patches_per_case=4)
    moved = 0
    for index in range(4):
        for epoch in range(10):
            patch = dataset[epoch, index]
            assert list(patch["image"].shape) == [1, *patch_size]
            assert set(np.unique(patch["label"])) <= {0, 2}
            bright = patch["image"] > (patch["image"].max() + patch["image"].min()) / 2
            if (patch["label"] > 0).sum() > 50:
                overlap = 2 * (bright & (patch["label"] > 0)).sum() / (bright.sum() + (patch["label"] > 0).sum())
                assert overlap > 0.6
                moved += 1
    assert moved > 5


def test_turns_about_one_axis_keep_the_planes_across_it():
    label = torch.zeros(1, 24, 24, 24)
    label[:, 4:20, 4:12, 4:20], label[:, 4:20, 12:20, 4:20] = 1, 2
    steps = augmentation(patch_size=[24, 24, 24], rotate_rad=[0.0, 0.6, 0.0], shear=0.0)
    dataset = AugmentedDataset([{"image": label, "label": label}], steps)
    for epoch in range(20):
        first, second = (dataset[epoch, 0]["label"][0] == i for i in (1, 2))
        assert first.any(dim=0).any(dim=1).nonzero().max() < second.any(dim=0).any(dim=1).nonzero().min()


def test_a_patch_follows_from_seed_epoch_and_case_alone():
    steps = augmentation(patch_size=[16, 16, 16])
    one, two = (AugmentedDataset([case(), case()], steps, seed=7) for _ in range(2))
    first = one[3, 1]["image"]
    two[0, 0], two[9, 1]  # other draws in between change nothing
    torch.testing.assert_close(two[3, 1]["image"], first)
    assert not torch.equal(one[4, 1]["image"], first)
    assert not torch.equal(AugmentedDataset([case()] * 2, steps, seed=8)[3, 1]["image"], first)


def test_an_epoch_holds_every_patch_once_in_a_new_order():
    sampler = EpochSampler(AugmentedDataset([case()] * 5, augmentation(patch_size=[8, 8]), patches_per_case=2))
    first = list(sampler)
    assert sorted(index for _, index in first) == list(range(10))
    assert list(sampler) == first
    sampler.epoch = 1
    assert [index for _, index in sampler] != [index for _, index in first]


def test_half_of_the_foreground_patches_are_centred_on_the_label():
    label = torch.zeros(1, 40, 40, 40)
    label[:, 3, 3, 3] = 1
    steps = augmentation(patch_size=[8, 8, 8], rotate_rad=0, scale=0, shear=0, foreground_patches=True)
    dataset = AugmentedDataset([{"image": label, "label": label}], steps)
    hits = sum(bool(dataset[epoch, 0]["label"].any()) for epoch in range(60))
    assert hits > 15


def test_loader_processes_change_nothing():
    dataset = AugmentedDataset([case()] * 4, augmentation(patch_size=[16, 16, 16]))
    batches = [
        [
            batch["image"]
            for batch in DataLoader(dataset, sampler=EpochSampler(dataset), batch_size=2, num_workers=n)
        ]
        for n in (0, 2)
    ]
    for one, two in zip(*batches, strict=True):
        torch.testing.assert_close(one, two, rtol=0, atol=0)
