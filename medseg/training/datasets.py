"""Patches of training cases, each drawn from (seed, epoch, index) alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset, Sampler

from medseg.training.augment import Augmentation

PatchKey = tuple[
    int, ...
]  # epoch, index; and whether it is centred on a labelled voxel, where that is not by chance


def derived_seed(*key: int) -> int:
    """Return the seed, below 2³², that follows from `key` alone."""
    return int(np.random.SeedSequence(key).generate_state(1)[0])


class AugmentedDataset(Dataset):
    """Patches of preprocessed cases; its keys are those that `EpochSampler` gives.

    The randomness of a patch follows from the seed and its key, so a resumed run, or one with more loader
    processes, sees the same patches.

    Parameters
    ----------
    cases
        Preprocessed cases by number, see `Augmentation.patches`.
    augmentation
        From cases to patches.
    seed
        Of the run.
    patches_per_case
        Indices that lead to each case.
    device
        Where a batch is made. With loader processes only the CPU is possible.
    """

    def __init__(
        self,
        cases: Dataset,
        augmentation: Augmentation,
        *,
        seed: int = 0,
        patches_per_case: int = 1,
        device: torch.device | str = "cpu",
    ) -> None:
        self.cases, self.augmentation, self.seed = cases, augmentation, seed
        self.patches_per_case, self.device = patches_per_case, torch.device(device)

    def __len__(self) -> int:
        return len(self.cases) * self.patches_per_case  # type: ignore[arg-type]

    def __getitem__(self, key: PatchKey) -> dict[str, Any]:
        return self.__getitems__([key])[0]

    def __getitems__(self, keys: Sequence[PatchKey]) -> list[dict[str, Any]]:
        """Return the patches of a batch, which is what torch's loaders ask for."""
        cases = [self.cases[index % len(self) // self.patches_per_case] for _, index, *_ in keys]
        randoms = [np.random.default_rng((self.seed, epoch, index)) for epoch, index, *_ in keys]
        centred = [bool(further[0]) for _, _, *further in keys if further]
        batch = self.augmentation.patches(cases, randoms, self.device, centred=centred or None)
        return [{name: tensor[n] for name, tensor in batch.items()} for n in range(len(keys))]


class EpochSampler(Sampler[PatchKey]):
    """Every patch of `dataset` once an epoch, in an order drawn from (seed, epoch).

    Of those that follow each other the share that `dataset.augmentation` says is centred on labelled voxels, so
    that each batch has its part.

    Parameters
    ----------
    dataset
        What is sampled.
    patches
        How many make an epoch; by default each once. Fewer are the first of the order; for more of them every case
        comes again, with indices of its own.
    """

    def __init__(self, dataset: AugmentedDataset, *, patches: int | None = None) -> None:
        self.dataset = dataset
        self.patches = patches or len(dataset)
        self.start(0)

    def start(self, epoch: int, patches_done: int = 0) -> None:
        """Say which epoch is drawn next, and how many of its patches were before a run was interrupted."""
        self.epoch, self.patches_done = epoch, patches_done

    def __len__(self) -> int:
        return self.patches

    def __iter__(self) -> Iterator[PatchKey]:
        random = np.random.default_rng((self.dataset.seed, self.epoch))
        share, n = self.dataset.augmentation.foreground_share, len(self.dataset)
        late = random.random()  # in the round, so that a batch's first patch is not always one of them
        rounds = -(-self.patches // n)
        order = np.concatenate([n * each + random.permutation(n) for each in range(rounds)])[: self.patches]
        keys = []
        for place, index in enumerate(order.tolist()):
            centred = int((place + 1) * share + late) > int(place * share + late)
            keys.append((self.epoch, index, int(centred)))
        return iter(keys[self.patches_done :])
