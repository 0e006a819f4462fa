"""One builder of losses from MONAI's: by name and weight, for labels or regions, masked, at many resolutions."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from monai.losses import (
    BoundaryLoss,
    DiceLoss,
    FocalLoss,
    GeneralizedDiceLoss,
    HausdorffDTLoss,
    TverskyLoss,
)
from torch import nn

from medseg.errors import InputError

Part = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]
# What a whole loss is the sum of, as it may also be written in a formula
NAMED = {
    "dice_focal": "dice + focal",
    "dice_ce": "dice + ce",
    "boundary": "dice + ce + 0.01 boundary",
    "hausdorff": "dice + ce + 0.1 hausdorff",
}
PARTS = ("dice", "iou", "tversky", "generalized_dice", "ce", "focal", "boundary", "hausdorff")
TERM = re.compile(r"(?:(\d*\.?\d+)\s*[·*]?\s*)?([a-z_]+)")


def segmentation_loss(
    loss: str = "dice_focal",
    *,
    regions: Mapping[str, Sequence[int]] | None = None,
    ignore_label: int | None = None,
    class_weights: Sequence[float] | None = None,
    batch_dice: bool = True,
    include_background: bool = True,
) -> SegmentationLoss:
    """Return a loss of scores and label maps.

    Parameters
    ----------
    loss
        ``"dice_focal"``, ``"dice_ce"``, ``"boundary"``, ``"hausdorff"`` (both with Dice and cross entropy); or
        parts and their weights, such as ``"0.7*dice + 0.3*focal"``, of ``dice``, ``iou``, ``tversky``,
        ``generalized_dice``, ``ce``, ``focal``, ``boundary``, ``hausdorff``.
    regions
        Label ids of each region, in the order of the network's channels, each with a sigmoid of its own; without
        them a softmax over labels, background first.
    ignore_label
        Voxels of this id count in no part of the loss.
    class_weights
        Of each channel, for ``ce`` and ``focal`` and for the mean of the others over channels; a mean weight of 1
        is best.
    batch_dice
        Dice, and what is like it, of the whole batch at once, which is steadier where structures are small.
    include_background
        Whether Dice, and what is like it, has background's share.

    Raises
    ------
    InputError
        `CONFIG_BAD_VALUE`: a name that is not known.
    """
    wanted: list[tuple[float, Part]] = []
    softmax = not regions
    for weight, name in terms(loss):
        wanted.append((weight, _part(name, softmax, class_weights, batch_dice, include_background or not softmax)))
    return SegmentationLoss(wanted, regions, ignore_label)


def terms(loss: str) -> list[tuple[float, str]]:
    """Return the weights and names of a formula's parts."""
    formula = NAMED.get(loss, loss)
    found = [TERM.fullmatch(each.strip()) for each in formula.lower().split("+")]
    named = [(float(each[1] or 1), each[2]) for each in found if each]
    if len(named) < len(found) or not {name for _, name in named} <= set(PARTS):
        raise InputError(
            "CONFIG_BAD_VALUE",
            f"loss {loss!r}: {', '.join(NAMED)} are known, and sums of {', '.join(PARTS)} such as "
            "'0.7*dice + 0.3*focal'",
        )
    return named


class SegmentationLoss(nn.Module):
    """The weighted sum of parts, each of scores, one-hot references and a mask; made by `segmentation_loss`.

    Where a network gives several outputs (deep supervision), the finest first, the one i levels below has a weight
    of 1/2^i, and the weights' sum is 1 (Isensee et al. 2021, doi:10.1038/s41592-020-01008-z).
    """

    def __init__(
        self,
        parts: Sequence[tuple[float, Part]],
        regions: Mapping[str, Sequence[int]] | None,
        ignore_label: int | None,
    ) -> None:
        super().__init__()
        self.parts, self.ignore_label = parts, ignore_label
        self.regions = None if not regions else [list(ids) for ids in regions.values()]

    def forward(self, scores: torch.Tensor | Sequence[torch.Tensor], label: torch.Tensor) -> torch.Tensor:
        """Return the loss of `scores` (B, channels, …), or of several resolutions of them, and ids (B, 1, …)."""
        levels = [scores] if isinstance(scores, torch.Tensor) else list(scores)
        weights = [0.5**level for level in range(len(levels))]
        total: torch.Tensor | float = 0.0
        for weight, each in zip(weights, levels, strict=True):
            smaller = label if each.shape[2:] == label.shape[2:] else F.interpolate(label, each.shape[2:])
            total = total + weight / sum(weights) * self._of_one(each.float(), smaller)
        return total  # type: ignore[return-value]

    def _of_one(self, scores: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        counted = torch.ones_like(label) if self.ignore_label is None else (label != self.ignore_label).to(label)
        ids = label * counted  # an ignored voxel counts as background, and is then masked
        if self.regions is None:
            channels = range(scores.shape[1])
            reference = torch.cat([(ids == each) for each in channels], dim=1).to(scores.dtype)
        else:
            held = [torch.isin(ids, ids.new_tensor(region)) for region in self.regions]
            reference = torch.cat(held, dim=1).to(scores.dtype)
        return sum(weight * part(scores, reference, counted) for weight, part in self.parts)  # type: ignore


def _part(
    name: str, softmax: bool, weights: Sequence[float] | None, batch: bool, include_background: bool
) -> Part:
    tensor = None if weights is None else torch.tensor(weights, dtype=torch.float32)
    if name == "ce":
        return partial(_cross_entropy, softmax=softmax, weights=tensor)
    if name == "focal":
        # over sigmoids, as in MONAI's DiceFocalLoss, also where labels exclude each other
        return partial(_focal, loss=FocalLoss(weight=tensor, reduction="none"))
    given: dict[str, Any] = {"include_background": include_background}
    if name in ("dice", "iou", "tversky", "generalized_dice"):
        given["batch"] = batch
    made = {
        "dice": partial(DiceLoss, weight=_foreground(tensor, include_background), smooth_nr=1e-5, smooth_dr=1e-5),
        "iou": partial(DiceLoss, jaccard=True, weight=_foreground(tensor, include_background)),
        "tversky": partial(TverskyLoss, alpha=0.3, beta=0.7),  # misses weigh more, as in Salehi et al. 2017
        "generalized_dice": GeneralizedDiceLoss,
        "boundary": BoundaryLoss,
        "hausdorff": HausdorffDTLoss,
    }[name](**given)
    return partial(_of_probabilities, loss=made, softmax=softmax)


def _foreground(weights: torch.Tensor | None, include_background: bool) -> torch.Tensor | None:
    return weights if weights is None or include_background else weights[1:]


def _of_probabilities(
    scores: torch.Tensor, reference: torch.Tensor, counted: torch.Tensor, *, loss: nn.Module, softmax: bool
) -> torch.Tensor:
    """Return one of MONAI's losses where what is ignored is in neither probabilities nor reference."""
    probabilities = scores.softmax(dim=1) if softmax else scores.sigmoid()
    return loss.to(scores.device)(probabilities * counted, reference * counted)


def _cross_entropy(
    scores: torch.Tensor,
    reference: torch.Tensor,
    counted: torch.Tensor,
    *,
    softmax: bool,
    weights: torch.Tensor | None,
) -> torch.Tensor:
    """Return the mean cross entropy over counted voxels, weighted by the class of each."""
    if softmax:
        losses = -(scores.log_softmax(dim=1) * reference)
    else:
        losses = F.binary_cross_entropy_with_logits(scores, reference, reduction="none")
    by_class = torch.ones(scores.shape[1]) if weights is None else weights
    by_class = by_class.to(scores).view(1, -1, *[1] * (scores.ndim - 2))
    total = (losses * by_class * counted).sum()
    over = (reference * by_class * counted).sum() if softmax else by_class.sum() * counted.sum()
    return total / over.clamp_min(1)


def _focal(
    scores: torch.Tensor, reference: torch.Tensor, counted: torch.Tensor, *, loss: nn.Module
) -> torch.Tensor:
    losses = loss.to(scores.device)(scores, reference) * counted
    return losses.sum() / (counted.sum() * scores.shape[1]).clamp_min(1)
