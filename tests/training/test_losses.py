"""Losses: MONAI's numbers where MONAI has them, and what is ignored, weighted or coarser counts as it should."""

import pytest
import torch
from monai.losses import DiceCELoss, DiceFocalLoss
from project import code_of

from medseg.training.losses import NAMED, PARTS, segmentation_loss, terms


def batch(channels: int = 3, labels: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    scores = torch.randn(2, channels, 8, 9, 10, requires_grad=True)
    return scores, torch.randint(0, labels, (2, 1, 8, 9, 10)).float()


@pytest.mark.parametrize(("name", "monai"), [("dice_focal", DiceFocalLoss), ("dice_ce", DiceCELoss)])
def test_common_losses_are_monai_s(name, monai):
    scores, label = batch()
    expected = monai(to_onehot_y=True, softmax=True, batch=True)(scores, label)
    torch.testing.assert_close(segmentation_loss(name)(scores, label), expected)
    weights = [1.0, 2.0, 0.5]
    given = {"weight": torch.tensor(weights)}
    expected = monai(to_onehot_y=True, softmax=True, batch=True, **given)(scores, label)
    torch.testing.assert_close(segmentation_loss(name, class_weights=weights)(scores, label), expected)


def test_a_formula_is_the_weighted_sum_of_its_parts():
    scores, label = batch()
    parts = [segmentation_loss(name)(scores, label) for name in ("dice", "focal")]
    total = 0.7 * parts[0] + 0.3 * parts[1]
    for formula in ("0.7*dice + 0.3*focal", "0.7·Dice+0.3·Focal", "0.3focal + .7 dice"):
        torch.testing.assert_close(segmentation_loss(formula)(scores, label), total)
    for wrong in ("dise", "dice -ce", "", "2"):
        assert code_of(terms, wrong) == "CONFIG_BAD_VALUE"


@pytest.mark.parametrize("name", [*NAMED, *PARTS])
@pytest.mark.parametrize("regions", [None, {"whole": [1, 2], "core": [2]}])
def test_every_loss_has_a_gradient_and_is_least_where_the_labels_are_right(name, regions):
    scores, label = batch(2 if regions else 3)
    loss = segmentation_loss(name, regions=regions, class_weights=[1.0, 2.0] if regions else None)
    value = loss(scores, label)
    value.backward()
    assert value.isfinite()
    assert scores.grad.abs().sum() > 0
    if regions:
        right = torch.cat([label > 0, label == 2], dim=1).float()
    else:
        right = torch.cat([label == each for each in range(3)], dim=1).float()
    assert loss(20 * right - 10, label) < value


@pytest.mark.parametrize("name", PARTS)
@pytest.mark.parametrize("regions", [None, {"whole": [1, 2], "core": [2]}])
def test_ignored_voxels_count_in_nothing(name, regions):
    scores, label = batch(2 if regions else 3)
    label[:, :, :3] = 9
    loss = segmentation_loss(name, regions=regions, ignore_label=9)
    before = loss(scores, label)
    changed = scores.detach().clone()
    changed[:, :, :3] += 5 * torch.randn_like(changed[:, :, :3])
    torch.testing.assert_close(loss(changed, label), before)
    before.backward()
    assert not scores.grad[:, :, :3].any()
    assert loss(scores, torch.full_like(label, 9)).isfinite()  # a patch without any annotation


def test_cross_entropy_and_dice_without_what_is_ignored_are_those_of_the_rest():
    scores, label = batch()
    kept_scores, kept_label = scores[:, :, 3:], label[:, :, 3:]
    masked = label.clone()
    masked[:, :, :3] = 9
    for name in ("ce", "focal", "dice"):
        found = segmentation_loss(name, ignore_label=9)(scores, masked)
        torch.testing.assert_close(found, segmentation_loss(name)(kept_scores, kept_label))


def test_coarser_outputs_weigh_half_of_the_finer_ones():
    scores, label = batch()
    loss = segmentation_loss("dice_ce")
    coarse = torch.randn(2, 3, 4, 4, 5)
    coarser_label = torch.nn.functional.interpolate(label, (4, 4, 5))
    expected = (loss(scores, label) + 0.5 * loss(coarse, coarser_label)) / 1.5
    torch.testing.assert_close(loss([scores, coarse], label), expected)


def test_dice_may_leave_background_out():
    scores, label = batch()
    without = DiceCELoss(to_onehot_y=True, softmax=True, batch=True, include_background=False)(scores, label)
    torch.testing.assert_close(segmentation_loss("dice_ce", include_background=False)(scores, label), without)
