"""Which components to delete, chosen on cases that no network has seen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from medseg.cases import Case, as_labels
from medseg.infer import keep_largest_component
from medseg.metrics import compare
from medseg.read import read_volume

THREADS = 2
LEAST_RISE = 1e-5  # of the mean Dice; below it, rounding decides

Choice = list[int | list[int]]  # of `largest_component`


def choose_components(cases: Sequence[Case], labels: Sequence[int]) -> tuple[Choice, list[tuple[Choice, float]]]:
    """Return the labels of which only the largest component is to be kept, and each choice's mean Dice.

    All foreground as one structure is tried first, then each label on top of what was taken; each is taken only
    where the mean Dice of the cases rises. Source: Isensee et al. 2021, doi:10.1038/s41592-020-01008-z.

    Parameters
    ----------
    cases
        With ``prediction``, made without postprocessing by a network that has not seen them, and ``label``.
    labels
        Ids, background left out.

    Returns
    -------
    choice, tried
        Of `keep_largest_component`; every choice that was tried, none first, with its mean Dice.
    """
    tries: Choice = [*([list(labels)] if len(labels) > 1 else []), *labels]
    chosen: Choice = []
    best = _mean_dice(cases, labels, chosen)
    tried: list[tuple[Choice, float]] = [([], best)]
    for entry in tries:
        dice = _mean_dice(cases, labels, [*chosen, entry])
        tried.append(([*chosen, entry], dice))
        if dice > best + LEAST_RISE:
            chosen, best = [*chosen, entry], dice
    return chosen, tried


def _mean_dice(cases: Sequence[Case], labels: Sequence[int], choice: Choice) -> float:
    """Return the mean over cases of each one's mean over labels, as ``summary.json`` has it."""
    dice: Callable[[Case], float] = lambda case: _dice(case, labels, choice)  # noqa: E731
    with ThreadPoolExecutor(THREADS) as pool:
        return float(np.nanmean(list(pool.map(dice, cases))))


def _dice(case: Case, labels: Sequence[int], choice: Choice) -> float:
    predicted, reference = (
        as_labels(read_volume(case[key]), case[key])  # read again for each choice, so that memory holds one case
        for key in ("prediction", "label")
    )
    kept = keep_largest_component(predicted, choice)
    values = compare(kept, reference, spacing_mm=(1.0, 1.0, 1.0), labels=list(labels), metrics=("dice",))
    found = [values[label]["dice"] for label in labels]
    return float(np.nanmean(found)) if not np.isnan(found).all() else float("nan")
