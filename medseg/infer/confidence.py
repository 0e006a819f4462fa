"""How sure the network was, label by label, so that a reviewer can look at the doubtful cases first."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch

KEPT_PROBABILITY = 1 / 255  # a voxel less probable than this for a label is not kept for it
CHUNK_SCORES = 1 << 18  # looked at in one step, so that they and what is made of them stay in the cache


class Confidence:
    """Sums over the slabs of one case, on the network's grid.

    Parameters
    ----------
    axis
        Along which the slabs come.
    probabilities
        Whether scores are probabilities already, as an ensemble gives them, rather than logits.
    keep
        Keep the probabilities themselves, see `crops`.
    region_ids
        Where scores are logits of overlapping regions: the id that stands for each.
    """

    def __init__(
        self,
        axis: int,
        *,
        probabilities: bool = False,
        keep: bool = False,
        region_ids: Sequence[int] | None = None,
    ) -> None:
        self.axis, self.probabilities, self.keep = axis, probabilities, keep
        self.region_ids = region_ids
        self.sums = torch.zeros(0, 3, dtype=torch.float64)  # of each label: voxels, probability, entropy
        self.first = 0
        self.kept: dict[int, list[tuple[list[int], np.ndarray]]] = {}

    def add(self, scores: torch.Tensor, offset: Sequence[int] = (0, 0, 0)) -> None:
        """Take the next slab (classes, I, J, K), which may be a part that begins at `offset` in the other axes."""
        classes = scores.shape[0]
        if len(self.sums) == 0:
            self.sums = torch.zeros(classes, 3, dtype=torch.float64, device=scores.device)
        order = [1 + self.axis, *(1 + n for n in range(3) if n != self.axis), 0]  # as slabs lie in memory
        planes = max(CHUNK_SCORES // scores.select(1 + self.axis, 0).numel(), 1)
        for chunk in scores.split(planes, dim=1 + self.axis):
            for rows in chunk.permute(order).reshape(-1, classes).split(max(CHUNK_SCORES // classes, 1)):
                self._add_rows(rows)
        if self.keep:
            self._keep(scores, offset)
        self.first += scores.shape[1 + self.axis]

    def _add_rows(self, rows: torch.Tensor) -> None:
        """Take the scores of some voxels, (voxels, classes); on a GPU nothing here waits for it.

        With e the scores less the best one and Z = Σ exp e, the best class has the probability 1/Z, and the
        entropy is ln Z - Σ e exp e / Z: one exponential a score.
        """
        if self.region_ids is not None:
            self._add_regions(rows)
            return
        best, labels = rows.max(dim=1)
        if rows.device.type == "cpu":  # most voxels are background, which has no row in the facts
            inside = labels.nonzero()[:, 0]  # taken by `index_select`, in less than half the time of an index
            rows, best, labels = (each.index_select(0, inside) for each in (rows, best, labels))
        if self.probabilities:
            probability, entropy = best, -torch.special.xlogy(rows, rows).sum(dim=1)
        else:
            less, ones = rows - best[:, None], rows.new_ones(rows.shape[1])  # a product adds up few classes faster
            powers = less.exp()
            total = powers @ ones
            probability, entropy = 1 / total, total.log() - powers.mul_(less) @ ones / total
        values = torch.stack([torch.ones_like(best), probability, entropy], dim=1)
        self.sums.index_add_(0, labels, values.double())

    def _add_regions(self, rows: torch.Tensor) -> None:
        """Take logits (voxels, regions): each region's voxels are those with a probability above 0.5."""
        inside = rows > 0
        probability = rows.sigmoid()
        entropy = torch.special.entr(probability) + torch.special.entr(1 - probability)
        values = torch.stack([torch.ones_like(rows), probability, entropy], dim=2) * inside[..., None]
        self.sums += values.sum(dim=0, dtype=torch.float64)

    def begin_part(self) -> None:
        """The slabs that follow are of the next part, from the first plane again."""
        self.first = 0

    def facts(self) -> dict[str, dict[str, float]]:
        """Return ``{label: {"voxels", "mean_probability", "mean_entropy_nats"}}`` of every label but background.

        A label without a voxel has no means. It gets those of the greatest doubt, a probability of 0 and the
        entropy of equally probable labels, so that it comes first wherever cases are sorted by doubt.
        """
        most_nats = math.log(2 if self.region_ids is not None else max(len(self.sums), 1))
        ids = range(len(self.sums)) if self.region_ids is None else self.region_ids
        facts = {}
        for label, (n, p, entropy) in zip(ids, self.sums.tolist(), strict=True):
            probability, nats = (p / n, entropy / n) if n else (0.0, most_nats)
            facts[str(label)] = {
                "voxels": int(n),
                "mean_probability": round(probability, 4),
                "mean_entropy_nats": round(nats, 4),
            }
        facts.pop("0", None)
        return facts

    def _keep(self, scores: torch.Tensor, offset: Sequence[int]) -> None:
        at = list(offset)
        at[self.axis] += self.first
        if self.region_ids is not None:
            by_label = dict(zip(self.region_ids, scores.float().sigmoid(), strict=True))
        else:
            p = scores.float() if self.probabilities else scores.float().softmax(dim=0)
            by_label = {label: p[label] for label in range(1, len(p))}
        for label, probability in by_label.items():
            voxels = (probability >= KEPT_PROBABILITY).nonzero()
            if len(voxels):
                low, high = voxels.amin(dim=0).tolist(), (voxels.amax(dim=0) + 1).tolist()
                box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
                begin = [a + b for a, b in zip(at, low, strict=True)]
                self.kept.setdefault(label, []).append((begin, probability[box].half().cpu().numpy()))

    def crops(self) -> dict[int, tuple[list[int], np.ndarray]]:
        """Return of each label where its probable voxels begin, (I, J, K), and their probabilities, float16."""
        crops = {}
        for label, pieces in self.kept.items():
            begins = np.array([begin for begin, _ in pieces])
            low = begins.min(axis=0)
            high = np.array([begin + np.array(piece.shape) for begin, piece in pieces]).max(axis=0)
            crop = np.zeros(high - low, np.float16)
            for begin, piece in pieces:
                crop[tuple(slice(b, b + n) for b, n in zip(begin - low, piece.shape, strict=True))] = piece
            crops[label] = (low.tolist(), crop)
        return crops
