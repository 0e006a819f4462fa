"""Augmentation: image and label together, labels never blended, the same draw for the same key."""

import numpy as np
import pytest
import torch
from monai.data import DataLoader
from project import code_of

from medseg.training.augment import PROBABILITIES, augmentation
from medseg.training.datasets import AugmentedDataset, EpochSampler
from medseg.training.patch_places import labelled_voxels

STILL = dict.fromkeys(PROBABILITIES, 0.0)
MOVED = {**STILL, "rotate": 1.0, "scale": 1.0}


def case(shape=(1, 20, 24, 16)) -> dict[str, torch.Tensor]:
    label = torch.zeros(shape)
    label[:, 6:14, 8:16, 4:12] = 2
    return {"image": label * 3.0, "label": label}


def patches(data: dict, steps, n: int, **keywords) -> list[dict[str, torch.Tensor]]:
    dataset = AugmentedDataset([data], steps, **keywords)
    return [dataset[epoch, 0] for epoch in range(n)]


@pytest.mark.parametrize("patch_size", [[16, 16, 16], [16, 16]])
@pytest.mark.parametrize("further", [{}, {"elastic_voxels": 2.0, "probabilities": {"elastic": 1.0}}])
def test_image_and_label_move_together(patch_size, further):
    still_intensities = augmentation(patch_size=patch_size, flip_axes=[0], **further)
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


def test_a_patch_is_what_the_case_holds_there():
    """Cut and mirrored where nothing turns; a turned one sees the image beyond its corners, not zeros."""
    places = torch.arange(1.0, 1 + 30 * 31 * 32).view(1, 30, 31, 32)
    data = {"image": places, "label": torch.zeros(1, 30, 31, 32)}
    for patch in patches(
        data, augmentation(patch_size=[8, 9, 10], flip_axes=[1], shift=0, probabilities=STILL), 20
    ):
        start = np.array(np.unravel_index(int(patch["image"].min()) - 1, (30, 31, 32)))
        cut = places[(slice(None), *(slice(a, a + n) for a, n in zip(start, (8, 9, 10), strict=True)))]
        assert any(torch.equal(patch["image"], each) for each in (cut, cut.flip(2)))
    data = {"image": torch.ones(1, 60, 60, 60), "label": torch.ones(1, 60, 60, 60)}
    steps = augmentation(patch_size=[12, 12, 12], rotate_rad=3.1, scale=0.3, probabilities=MOVED, shift=0)
    middle = AugmentedDataset([{**data, "foreground": {1: torch.tensor([30 * 3600 + 30 * 60 + 30])}}], steps)
    for epoch in range(10):
        torch.testing.assert_close(middle[epoch, 0, 1]["image"], torch.ones(1, 12, 12, 12))


@pytest.mark.parametrize("rotate_rad", [[0, 0, 0], [0, 0.7, 0], [0, 0, 0.7], [0.4, 0.5, 0.6]])
def test_every_way_to_look_up_agrees_with_the_map(rotate_rad):
    """A linear image is known between its voxels: cut, in planes or in space, and for each mirroring."""
    grid = torch.stack(torch.meshgrid(*(torch.arange(40.0) for _ in range(3)), indexing="ij"))
    steps = augmentation(
        patch_size=[9, 10, 11], flip_axes=[0, 2], rotate_rad=rotate_rad, scale=0.2, shear=0.0, probabilities=MOVED
    )
    voxels = {1: torch.tensor([20 * 1600 + 20 * 40 + 20])}
    data = {"image": grid, "label": grid[:1], "foreground": voxels}
    for seed in range(8):
        dataset = AugmentedDataset([data], steps, seed=seed)
        patch = dataset[0, 0, 1]
        random = np.random.default_rng((seed, 0, 0))
        random.random()
        from medseg.training.patch_places import draw_voxel

        place = steps.spatial.draw((40, 40, 40), draw_voxel(voxels, (40, 40, 40), random), random)
        middle = np.array([4.0, 4.5, 5.0])
        for voxel in ([0, 0, 0], [8, 9, 10], [3, 7, 2]):
            there = place.start + middle + place.matrix @ (np.array(voxel) - middle)
            np.testing.assert_allclose(patch["image"][(slice(None), *voxel)], there, atol=1e-3)
            assert abs(float(patch["label"][(0, *voxel)]) - there[0]) <= 0.5 + 1e-3


def test_turns_about_one_axis_keep_the_planes_across_it():
    label = torch.zeros(1, 24, 24, 24)
    label[:, 4:20, 4:12, 4:20], label[:, 4:20, 12:20, 4:20] = 1, 2
    steps = augmentation(
        patch_size=[24, 24, 24], rotate_rad=[0.0, 0.6, 0.0], shear=0.0, probabilities={"rotate": 1.0}
    )
    for patch in patches({"image": label, "label": label}, steps, 20):
        first, second = (patch["label"][0] == i for i in (1, 2))
        assert first.any(dim=0).any(dim=1).nonzero().max() < second.any(dim=0).any(dim=1).nonzero().min()


@pytest.mark.parametrize(("patch_size", "coarse_axis"), [([32, 32, 8], None), ([16, 16, 16], 2)])
def test_nothing_is_turned_or_scaled_across_a_coarse_axis(patch_size, coarse_axis):
    planes = torch.arange(40.0).view(1, 1, 1, 40).expand(1, 50, 50, 40)
    steps = augmentation(
        patch_size=patch_size,
        coarse_axis=coarse_axis,
        rotate_rad=3.1,
        probabilities=MOVED,
        shift=0,
        scale=[0.9, 1],
    )
    for patch in patches({"image": planes, "label": torch.zeros(1, 50, 50, 40)}, steps, 10):
        middle = patch["image"][0, patch_size[0] // 2, patch_size[1] // 2]
        torch.testing.assert_close(middle.diff(), torch.ones(patch_size[2] - 1))


def test_a_patch_follows_from_seed_epoch_and_case_alone():
    steps = augmentation(patch_size=[16, 16, 16])
    one, two = (AugmentedDataset([case(), case()], steps, seed=7) for _ in range(2))
    first = one[3, 1]["image"]
    two[0, 0], two[9, 1]  # other draws in between change nothing
    torch.testing.assert_close(two[3, 1]["image"], first)
    batch = two.__getitems__([(3, 0), (3, 1), (4, 1)])  # nor do the others of a batch
    torch.testing.assert_close(batch[1]["image"], first, rtol=0, atol=0)
    assert not torch.equal(one[4, 1]["image"], first)
    assert not torch.equal(AugmentedDataset([case()] * 2, steps, seed=8)[3, 1]["image"], first)


def test_an_epoch_holds_every_patch_once_in_a_new_order():
    sampler = EpochSampler(AugmentedDataset([case()] * 5, augmentation(patch_size=[8, 8]), patches_per_case=2))
    first = list(sampler)
    assert sorted(index for _, index, _ in first) == list(range(10))
    assert list(sampler) == first
    sampler.epoch = 1
    assert [index for _, index, _ in sampler] != [index for _, index, _ in first]


def test_an_epoch_of_so_many_patches_goes_round_the_cases():
    dataset = AugmentedDataset([case(), case()], augmentation(patch_size=[8, 8, 8]))
    keys = list(EpochSampler(dataset, patches=5))
    assert len(keys) == len({index for _, index, _ in keys}) == 5
    assert sorted(index % 2 for _, index, _ in keys) in ([0, 0, 0, 1, 1], [0, 0, 1, 1, 1])
    assert [dataset[key]["image"].shape for key in keys] == [(1, 8, 8, 8)] * 5
    assert len(list(EpochSampler(dataset, patches=1))) == 1


@pytest.mark.parametrize(
    ("given", "share"), [({}, 1 / 3), ({"foreground_patches": True}, 0.5), ({"foreground_share": 1.0}, 1)]
)
def test_a_share_of_each_batch_is_centred_on_the_label(given, share):
    label = torch.zeros(1, 40, 40, 40)
    label[:, 3, 3, 3] = 1
    steps = augmentation(patch_size=[8, 8, 8], probabilities=STILL, **given)
    dataset = AugmentedDataset([{"image": label, "label": label}] * 60, steps)
    for epoch in range(3):
        sampler = EpochSampler(dataset)
        sampler.epoch = epoch
        centred = [forced for _, _, forced in sampler]
        for n in (6, 12):  # in each batch of 6, as in each of 12
            counts = {sum(centred[start : start + n]) for start in range(0, 60, n)}
            assert counts <= {int(n * share), int(n * share) + (n * share % 1 > 0)}
    assert all(dataset[0, index, 1]["label"].any() for index in range(20))
    assert sum(bool(dataset[0, index, 0]["label"].any()) for index in range(20)) < 5


def test_classes_are_centred_on_alike_however_large():
    label = torch.zeros(1, 40, 40, 40, dtype=torch.uint8)
    label[:, 5:30, 5:30, 5:30], label[:, 35, 35, 35], label[:, 0, 0] = 1, 2, 9
    voxels = labelled_voxels(label, ignore_label=9)
    assert {each: len(found) for each, found in voxels.items()} == {1: 10_000, 2: 1}
    assert all((label.view(-1)[found] == each).all() for each, found in voxels.items())
    steps = augmentation(patch_size=[4, 4, 4], probabilities=STILL)
    dataset = AugmentedDataset([{"image": label.float(), "label": label, "foreground": voxels}], steps)
    rare = sum(bool((dataset[epoch, 0, 1]["label"] == 2).any()) for epoch in range(60))
    assert 18 < rare < 42


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


@pytest.mark.parametrize(
    "given", [{"rotate_rad": [0.1, 0.2]}, {"scale": [1.1, 1.2]}, {"probabilities": {"blurr": 1}}]
)
def test_numbers_that_cannot_be_are_named(given):
    assert code_of(augmentation, patch_size=[8, 8, 8], **given) == "CONFIG_BAD_VALUE"
