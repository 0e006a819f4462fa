"""What the training images are like, so that the weights can say of another image that it is not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from medseg.cases import Case
from medseg.read import TrainingImages, fingerprint, read_volume


def describe_images(
    cases: Sequence[Case], intensity: Mapping[str, Any] | Sequence[Mapping[str, Any]], *, threads: int = 4
) -> TrainingImages:
    """Read each image once, before preprocessing, and return the range of each number over them.

    Parameters
    ----------
    cases
        At least one.
    intensity
        Of the preprocessing: its ``kind`` says whether units are the same everywhere (``"ct"``) or not. A list of
        them is one a channel.
    """
    kinds = [intensity["kind"]] if isinstance(intensity, Mapping) else [one["kind"] for one in intensity]
    kind = kinds[0] if len(set(kinds)) == 1 else "+".join(kinds)

    def described(case: Case) -> dict[str, float]:
        return fingerprint(read_volume(case["image"], channels=None), kind)

    with ThreadPoolExecutor(threads) as pool:
        return TrainingImages.of(list(pool.map(described, cases)), kind)
