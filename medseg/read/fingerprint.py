"""What an image is like, in a few numbers: those of the training images stay with the weights, to compare with.

MR has arbitrary units, so its intensities are described without them; CT is described in Hounsfield units.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from math import inf
from typing import Any

import numpy as np
from nibabel.orientations import io_orientation

from medseg.errors import InputError
from medseg.read.volume import Volume

SAMPLES = 2**18  # voxels looked at, drawn with a fixed seed where there are more
PERCENTILES = (0.5, 50.0, 99.5)
# How far outside the training images' range a number may lie: added at both ends, or as a factor
MARGIN_HU = 150.0  # more than scanners and contrast differ by, less than tissue from air or from another modality
MARGIN_SHARE = 0.2  # of numbers that go from 0 to 1
FACTORS = {"extent": 1.5, "spacing": 2.0, "distinct": 2.0}
AXES = "xyz"  # left–right, back–front, feet–head
INTENSITIES = ("mr", "ct")
UNLIKE_TRAINING = "INPUT_UNLIKE_TRAINING"
OF_CHANNEL = "_of_channel_"  # ends the names of numbers of a channel after the first, before its number from 1


@dataclass(frozen=True)
class TrainingImages:
    """What the images that weights were trained on are like.

    Attributes
    ----------
    intensity
        As for `fingerprint`.
    cases
        How many there were.
    ranges
        The smallest and the largest of each number of `fingerprint`.
    """

    intensity: str
    cases: int
    ranges: Mapping[str, tuple[float, float]]

    @classmethod
    def of(cls, fingerprints: Sequence[Mapping[str, float]], intensity: str) -> TrainingImages:
        """Return the ranges of at least one image's numbers."""
        ranges = {}
        for name in fingerprints[0]:
            values = [each[name] for each in fingerprints]
            ranges[name] = (min(values), max(values))
        return cls(intensity, len(fingerprints), ranges)

    @classmethod
    def from_json(cls, value: Any) -> TrainingImages | None:
        """Return what `as_json` gave; None for anything else, as a later version may have written."""
        try:
            ranges = {str(name): (float(low), float(high)) for name, (low, high) in value["ranges"].items()}
            for kind in _kinds(value["intensity"]):
                INTENSITIES.index(kind)
            return cls(value["intensity"], int(value["cases"]), ranges)
        except (AttributeError, KeyError, TypeError, ValueError):
            return None

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "ranges": {name: list(ends) for name, ends in self.ranges.items()}}

    def joined(self, other: TrainingImages) -> TrainingImages | None:
        """Return the ranges of both, for an ensemble; None where one is of MR and one of CT."""
        if self.intensity != other.intensity:
            return None
        ranges = {
            name: (min(low, other.ranges[name][0]), max(high, other.ranges[name][1]))
            for name, (low, high) in self.ranges.items()
            if name in other.ranges
        }
        return TrainingImages(self.intensity, self.cases + other.cases, ranges)


def compared(volume: Volume, images: TrainingImages | None) -> tuple[Volume, list[dict[str, Any]] | None]:
    """Return a volume with the code `INPUT_UNLIKE_TRAINING` where it is far from all training images, and in what.

    Returns
    -------
    volume
        As given, but for its codes.
    list of dict or None
        ``number``, its ``value`` and the ends of ``training``, for each number that lies further outside that
        range than its margin; None where nothing is known of the training images.
    """
    if images is None:
        return volume, None
    found = fingerprint(volume, images.intensity)
    far = []
    for name in sorted(found.keys() & images.ranges.keys()):
        low, high = images.ranges[name]
        least, most = _allowed(name, low, high)
        if not least <= found[name] <= most:
            far.append({"number": name, "value": found[name], "training": [low, high]})
    return (replace(volume, codes=(*volume.codes, UNLIKE_TRAINING)) if far else volume), far


def in_words(far: Sequence[Mapping[str, Any]]) -> str:
    """Return what `compared` found as text."""
    return ", ".join(
        f"{each['number']} {each['value']:g} (training {each['training'][0]:g} to {each['training'][1]:g})"
        for each in far
    )


def _allowed(name: str, low: float, high: float) -> tuple[float, float]:
    name = name.partition(OF_CHANNEL)[0]
    margin = MARGIN_HU if name.endswith("_hu") else MARGIN_SHARE
    if name.endswith(("_hu", "_share")):
        return low - margin, high + margin
    factor = FACTORS[name.partition("_")[0]]
    return low / factor, inf if name.startswith("distinct") else high * factor


def fingerprint(volume: Volume, intensity: str) -> dict[str, float]:
    """Return what an image is like, by name.

    Parameters
    ----------
    volume
        As it was read, before preprocessing.
    intensity
        ``"ct"``: percentiles in Hounsfield units. ``"mr"``: where the median lies between them and how high the
        low one is, as shares of the high one. One for all channels, or one each, joined by ``+``: ``"ct+mr"``.

    Returns
    -------
    dict
        ``p0.5_hu``, ``p50_hu``, ``p99.5_hu``, or ``median_share`` and ``low_share``; ``negative_share`` of the
        voxels; ``distinct_values``; the same of further channels, with ``_of_channel_2`` and so on at the end; and
        along x (left–right), y (back–front), z (feet–head) ``extent_x_mm`` and
        ``spacing_x_mm``.

    Raises
    ------
    InputError
        `CONFIG_BAD_VALUE`: another kind of intensity.
    """
    kinds = _kinds(intensity)
    if not set(kinds) <= set(INTENSITIES):
        raise InputError("CONFIG_BAD_VALUE", f"intensity kind {intensity!r}: 'mr' and 'ct' are known")
    found: dict[str, float] = {}
    for number, array in enumerate(volume.channels, start=1):
        of_channel = _intensities(_sample(array), kinds[min(number, len(kinds)) - 1])
        found |= {name + (f"{OF_CHANNEL}{number}" if number > 1 else ""): n for name, n in of_channel.items()}
    axes = io_orientation(volume.affine)[:, 0].astype(int)
    for axis, n, mm in zip(axes, volume.array.shape, volume.spacing_mm, strict=True):
        found |= {f"extent_{AXES[axis]}_mm": n * mm, f"spacing_{AXES[axis]}_mm": mm}
    return {name: float(f"{value:.6g}") for name, value in sorted(found.items())}


def _kinds(intensity: str) -> list[str]:
    return intensity.split("+")


def _intensities(values: np.ndarray, intensity: str) -> dict[str, float]:
    """Return what a channel's values are like."""
    low, median, high = (float(value) for value in np.percentile(values, PERCENTILES))
    found: dict[str, float] = {}
    if intensity == "ct":
        found |= {"p0.5_hu": low, "p50_hu": median, "p99.5_hu": high}
    else:
        largest = max(abs(low), abs(high)) or 1.0
        found |= {"median_share": (median - low) / ((high - low) or 1.0), "low_share": low / largest}
    found |= {"negative_share": float((values < 0).mean()), "distinct_values": float(len(np.unique(values)))}
    return found


def _sample(array: np.ndarray) -> np.ndarray:
    if array.size <= SAMPLES:
        return array.ravel()
    chosen = np.random.default_rng(0).integers(0, array.size, SAMPLES)
    return array[np.unravel_index(chosen, array.shape)]
