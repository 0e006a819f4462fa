"""One labelled case, read once: what the plan needs to know of it, in few bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from nibabel.orientations import io_orientation

from medseg.cases import Case, as_labels, check_same_grid, ids_in, images_of
from medseg.infer import find_components
from medseg.read import Volume, read_volume

SAMPLES = (
    10_000  # labelled voxels of a case whose intensities are kept, drawn with a fixed seed where there are more
)
AIR_HU = -900.0  # between air (-1000) and skin


@dataclass(frozen=True)
class LabelFacts:
    """One label in one case: its size, in how many pieces, and the largest one's share of it."""

    voxels: int
    ml: float
    pieces: int
    largest_share: float


@dataclass(frozen=True)
class CaseFacts:
    """What is kept of a case. Axes are those of RAS.

    Attributes
    ----------
    spacing_mm, shape
        Of the image.
    cropped
        Shape of the box of what is no background: above 0, or above `AIR_HU` where the image has negative values.
    cuts_labels
        A labelled voxel lies outside of that box.
    low
        0.5th percentile of each channel's voxels.
    intensities
        Of up to `SAMPLES` labelled voxels, one array a channel.
    labels
        By id, background left out.
    digest
        Of the image's voxels: the same for the same image under another name.
    modalities
        Of each channel, as DICOM says; empty for other files.
    """

    spacing_mm: tuple[float, ...]
    shape: tuple[int, ...]
    cropped: tuple[int, ...]
    cuts_labels: bool
    low: tuple[float, ...]
    intensities: tuple[np.ndarray, ...]
    labels: dict[int, LabelFacts]
    digest: str
    modalities: tuple[str, ...]


def read_case(case: Case, ignore_label: int | None = None) -> CaseFacts:
    """Read a case with its label and return what the plan needs of it.

    Raises
    ------
    InputError
        What reading refuses, `GEOMETRY_LABEL_GRID`, `LABEL_NOT_INTEGER`.
    """
    images = read_channels(case)
    label = read_volume(case["label"])
    for n, other in enumerate(images[1:], 1):
        check_same_grid(
            case["id"], images[0], other, what=("channel 0", f"channel {n}"), remedy="resample one onto the other"
        )
    check_same_grid(case["id"], images[0], label)
    labels = as_labels(label, case["label"])
    box, cuts = _content_box([image.array for image in images], labels)
    order = np.argsort(io_orientation(images[0].affine)[:, 0])
    return CaseFacts(
        spacing_mm=tuple(np.array(images[0].spacing_mm)[order].tolist()),
        shape=tuple(np.array(labels.shape)[order].tolist()),
        cropped=tuple(np.array([cut.stop - cut.start for cut in box])[order].tolist()),
        cuts_labels=cuts,
        low=tuple(float(np.percentile(image.array[::2, ::2], 0.5)) for image in images),
        intensities=_sampled([image.array for image in images], labels, ignore_label),
        labels=_label_facts(labels, float(np.prod(images[0].spacing_mm))),
        digest=digest_of(images),
        modalities=tuple(image.modality for image in images),
    )


def read_channels(case: Case) -> list[Volume]:
    """Return each channel of a case's image as a volume; a 4D file has several."""
    volumes = [read_volume(path, channels=None) for path in images_of(case)]
    return [replace(volume, array=array, further=()) for volume in volumes for array in volume.channels]


def digest_of(images: Sequence[Volume]) -> str:
    """Return a hash of the voxels of an image, all its channels."""
    digest = hashlib.blake2b(digest_size=16)
    for image in images:
        digest.update(f"{image.array.shape}{image.array.dtype}".encode())
        digest.update(np.ascontiguousarray(image.array.T).data)  # as NIfTI lies in memory, without a copy
    return digest.hexdigest()


def _content_box(images: Sequence[np.ndarray], labels: np.ndarray) -> tuple[tuple[slice, ...], bool]:
    """Return the box of what is no background in any channel, and whether labels reach out of it."""
    content = np.zeros(labels.shape, bool)
    for image in images:
        content |= image > (0 if image.min() >= 0 else AIR_HU)
    box = _box(content)
    labelled = _box(labels != 0)
    return box, any(of.start < cut.start or of.stop > cut.stop for of, cut in zip(labelled, box, strict=True))


def _box(mask: np.ndarray) -> tuple[slice, ...]:
    """Return the smallest box that holds all of a mask; all of it where it is empty."""
    ends = []
    for axis in range(3):
        held = np.flatnonzero(mask.any(axis=tuple(other for other in range(3) if other != axis)))
        ends.append(slice(int(held[0]), int(held[-1]) + 1) if len(held) else slice(0, mask.shape[axis]))
    return tuple(ends)


def _sampled(images: Sequence[np.ndarray], labels: np.ndarray, ignored: int | None) -> tuple[np.ndarray, ...]:
    order: Any = "F" if labels.flags.f_contiguous else "C"
    wanted = labels != 0 if ignored is None else (labels != 0) & (labels != ignored)
    places = np.flatnonzero(wanted.ravel(order))
    if len(places) > SAMPLES:
        places = places[np.random.default_rng(0).integers(0, len(places), SAMPLES)]
    at = np.unravel_index(places, labels.shape, order)
    return tuple(image[at].astype(np.float32) for image in images)


def _label_facts(labels: np.ndarray, voxel_mm3: float) -> dict[int, LabelFacts]:
    if not ids_in(labels):
        return {}
    inside = labels[_box(labels != 0)]
    if inside.min() < 0 or inside.dtype.kind != "u":
        inside = inside.astype(np.int64)
        inside = np.where(inside < 0, 0, inside).astype(np.uint32)
    found = find_components(np.asfortranarray(inside))
    facts = {}
    for label in np.unique(found.labels[1:]):
        sizes = found.sizes[1:][found.labels[1:] == label]
        voxels = int(sizes.sum())
        ml = voxels * voxel_mm3 / 1000
        facts[int(label)] = LabelFacts(voxels, ml, len(sizes), float(sizes.max() / voxels))
    return facts
