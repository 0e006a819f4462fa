"""Patches of training cases, each drawn from (seed, epoch, case) alone."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from monai.transforms import (
    Compose,
)
from torch.utils.data import Dataset, Sampler


def derived_seed(*key: int) -> int:
    """Return the seed, below 2³², that follows from `key` alone."""
    return int(np.random.SeedSequence(key).generate_state(1)[0])


class AugmentedDataset(Dataset):
    """Patches of preprocessed cases; its keys are (epoch, index), as `EpochSampler` gives them.

    The randomness of a patch follows from the seed and its key, so a resumed run, or one with more loader
    processes, sees the same patches.
    """

    def __init__(self, cases: Dataset, augmentation: Compose, *, seed: int = 0, patches_per_case: int = 1) -> None:
        self.cases, self.augmentation, self.seed = cases, augmentation, seed
        self.patches_per_case = patches_per_case

    def __len__(self) -> int:
        return len(self.cases) * self.patches_per_case  # type: ignore[arg-type]

    def __getitem__(self, key: tuple[int, int]) -> dict:
        epoch, index = key
        self.augmentation.set_random_state(seed=derived_seed(self.seed, epoch, index))
        patch = self.augmentation(self.cases[index // self.patches_per_case])
        return patch[0] if isinstance(patch, list) else patch


class EpochSampler(Sampler[tuple[int, int]]):
    """Every patch of `dataset` once an epoch, in an order drawn from (seed, epoch)."""

    def __init__(self, dataset: AugmentedDataset) -> None:
        self.dataset = dataset
        self.start(0)

    def start(self, epoch: int, patches_done: int = 0) -> None:
        """Say which epoch is drawn next, and how many of its patches were before a run was interrupted."""
        self.epoch, self.patches_done = epoch, patches_done

    def __len__(self) -> int:
        return len(self.dataset)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        order = np.random.default_rng((self.dataset.seed, self.epoch)).permutation(len(self.dataset))
        return iter([(self.epoch, int(index)) for index in order[self.patches_done :]])
