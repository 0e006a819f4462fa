"""What a data set is like, in numbers: all that the rules may look at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from medseg.planning.case_facts import CaseFacts

PERCENTILES = (0.5, 50.0, 99.5)
CT_LOW_HU = -200.0  # air or fat: what is stored without negative numbers as low as that is no CT


@dataclass(frozen=True)
class ChannelFacts:
    """A channel's intensities over the labelled voxels; each case counts the same, whatever its size."""

    name: str
    mean: float
    sd: float
    low: float
    median: float
    high: float

    @classmethod
    def of(cls, name: str, samples: Sequence[np.ndarray]) -> ChannelFacts:
        """Return what samples of several cases say; `low` and `high` are their 0.5 and 99.5 percentile."""
        values, weights = _weighted(samples)
        if not len(values):
            return cls(name, 0.0, 1.0, 0.0, 0.0, 0.0)
        mean = float(np.average(values, weights=weights))
        sd = float(np.sqrt(np.average((values - mean) ** 2, weights=weights)))
        return cls(name, mean, sd, *weighted_percentiles(values, weights, PERCENTILES))

    def clipped(self, samples: Sequence[np.ndarray], window: Sequence[float]) -> tuple[float, float]:
        """Return mean and standard deviation of samples clipped to a window."""
        values, weights = _weighted([np.clip(each, window[0], window[1]) for each in samples])
        mean = float(np.average(values, weights=weights))
        return mean, float(np.sqrt(np.average((values - mean) ** 2, weights=weights)))


@dataclass(frozen=True)
class Fingerprint:
    """What a data set is like.

    Attributes
    ----------
    cases, patients
        How many there are; as many patients as the ids tell apart.
    spacing_mm, shapes, cropped
        (cases, 3), along the axes of RAS; `cropped` is the box of what is no background.
    crop_cuts_labels
        That box cuts a labelled voxel off in some case.
    modalities
        ``"CT"`` or ``"MR"`` for each channel.
    channels, labels
        Of each channel; of each label by id, and its name.
    regions
        Label ids by name, where labels are overlapping regions.
    samples
        Labelled voxels' intensities by channel and case.
    """

    cases: int
    patients: int
    spacing_mm: np.ndarray
    shapes: np.ndarray
    cropped: np.ndarray
    crop_cuts_labels: bool
    modalities: tuple[str, ...]
    channels: tuple[ChannelFacts, ...]
    labels: Mapping[int, Mapping[str, Any]]
    regions: Mapping[str, Sequence[int]]
    samples: tuple[tuple[np.ndarray, ...], ...]

    @property
    def median_spacing_mm(self) -> np.ndarray:
        return np.median(self.spacing_mm, axis=0)

    @property
    def anisotropy(self) -> float:
        """How many times wider apart voxels lie along their coarsest axis than along their finest."""
        return float(self.median_spacing_mm.max() / self.median_spacing_mm.min())

    def median_shape(self, spacing_mm: Sequence[float] | np.ndarray, cropped: bool) -> np.ndarray:
        """Return the median over the cases of their shapes at another spacing."""
        shapes = self.cropped if cropped else self.shapes
        return np.median(np.round(shapes * self.spacing_mm / np.asarray(spacing_mm)), axis=0)

    def as_json(self) -> dict[str, Any]:
        """Return it in plain values, without a case's name: names may be patients'."""
        volumes = self.cropped.prod(axis=1) / self.shapes.prod(axis=1)
        return {
            "cases": self.cases,
            "patients": self.patients,
            "modalities": list(self.modalities),
            "spacing_mm": _spread(self.spacing_mm),
            "shape": _spread(self.shapes),
            "shape_cropped": _spread(self.cropped),
            "share_left_by_cropping": _rounded(float(np.median(volumes))),
            "anisotropy": _rounded(self.anisotropy),
            "labelled_voxels": {
                each.name: {key: _rounded(value) for key, value in vars(each).items() if key != "name"}
                for each in self.channels
            },
            "labels": {str(i): dict(facts) for i, facts in self.labels.items()},
            "regions": {name: list(ids) for name, ids in self.regions.items()},
        }


def fingerprint_of(
    facts: Sequence[CaseFacts],
    names: Mapping[int, str],
    channel_names: Sequence[str] = (),
    modality: str = "",
    regions: Mapping[str, Sequence[int]] = MappingProxyType({}),
    patients: int | None = None,
) -> Fingerprint:
    """Return the fingerprint of cases that were read.

    Parameters
    ----------
    facts
        At least one; all with the same channels.
    names
        Of the labels by id.
    channel_names
        As the data set calls its channels; shorter where it names none.
    modality
        ``"CT"`` or ``"MR"``, of all channels; empty to tell it from names and images.
    regions
        Label ids by name.
    patients
        How many the cases are of; as many as there are cases where none is given.
    """
    count = len(facts[0].intensities)
    modalities = tuple(modality or _modality(n, facts, channel_names) for n in range(count))
    channel_names = [*channel_names[:count], *(f"channel {n}" for n in range(len(channel_names), count))]
    samples = tuple(tuple(each.intensities[n] for each in facts) for n in range(count))
    return Fingerprint(
        cases=len(facts),
        patients=len(facts) if patients is None else patients,
        spacing_mm=np.array([each.spacing_mm for each in facts]),
        shapes=np.array([each.shape for each in facts]),
        cropped=np.array([each.cropped for each in facts]),
        crop_cuts_labels=any(each.cuts_labels for each in facts),
        modalities=modalities,
        channels=tuple(ChannelFacts.of(name, each) for name, each in zip(channel_names, samples, strict=True)),
        labels={i: _label(i, name, facts) for i, name in sorted(names.items())},
        regions=regions,
        samples=samples,
    )


def _modality(channel: int, facts: Sequence[CaseFacts], channel_names: Sequence[str]) -> str:
    """Return ``"CT"`` where DICOM, the channel's name or, without either, the low end of intensities says so."""
    said = {each.modalities[channel] for each in facts} - {""}
    if said:
        return "CT" if said == {"CT"} else "MR"
    if channel < len(channel_names):
        return "CT" if channel_names[channel].strip().upper() == "CT" else "MR"
    return "CT" if float(np.median([each.low[channel] for each in facts])) < CT_LOW_HU else "MR"


def weighted_percentiles(values: np.ndarray, weights: np.ndarray, wanted: Sequence[float]) -> list[float]:
    """Return percentiles (0 to 100) of values that count by their weights."""
    order = np.argsort(values)
    share = np.cumsum(weights[order])
    places = np.searchsorted(share, np.asarray(wanted) / 100 * share[-1])
    return [float(value) for value in values[order][np.minimum(places, len(values) - 1)]]


def _weighted(samples: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    held = [each for each in samples if len(each)]
    if not held:
        return np.zeros(0), np.zeros(0)
    weights = np.concatenate([np.full(len(each), 1 / len(each)) for each in held])
    return np.concatenate(held).astype(float), weights


def _label(label: int, name: str, facts: Sequence[CaseFacts]) -> dict[str, Any]:
    found = [each.labels[label] for each in facts if label in each.labels]
    volumes = [each.ml for each in found] or [0.0]
    return {
        "name": name,
        "cases": len(found),
        "ml": {
            "median": _rounded(float(np.median(volumes))),
            "min": _rounded(min(volumes)),
            "max": _rounded(max(volumes)),
        },
        "voxels": int(np.median([each.voxels for each in found] or [0])),
        "pieces": {
            "median": float(np.median([each.pieces for each in found] or [0])),
            "max": max((each.pieces for each in found), default=0),
        },
        "largest_piece_share": _rounded(min((each.largest_share for each in found), default=0.0)),
    }


def _spread(values: np.ndarray) -> dict[str, list[float]]:
    ends = {"median": np.median(values, axis=0), "min": values.min(axis=0), "max": values.max(axis=0)}
    return {name: [_rounded(value) for value in each.tolist()] for name, each in ends.items()}


def _rounded(value: float) -> float:
    return float(f"{value:.6g}")
