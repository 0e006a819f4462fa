"""What a picture of a case shows: its volumes turned to the reader, cropped to the labels, and the worst place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
from nibabel.orientations import apply_orientation, axcodes2ornt, io_orientation, ornt_transform

from medseg.geometry import spacing_mm_of

AXES_SHOWN = ("L", "P", "I")  # index order that pictures are drawn in: right on the left, front and head on top
MARGIN_MM = 12.0  # shown around what is labelled
SAMPLES = 200_000  # voxels that are enough to choose the grey window from


@dataclass(frozen=True)
class Views:
    """A case's volumes on one grid (I, J, K), in any orientation.

    Attributes
    ----------
    image
        Scalars, or None where there is none or text is burned into it.
    reference, prediction
        Integer label maps; 0 is background.
    affine
        4×4, voxel index to RAS+ millimetres.
    second
        The label map of a second model.
    """

    image: np.ndarray | None
    reference: np.ndarray
    prediction: np.ndarray
    affine: np.ndarray
    second: np.ndarray | None = None


@dataclass(frozen=True)
class Scene:
    """What is drawn of a case; indices run towards left, posterior, inferior.

    Attributes
    ----------
    image, reference, predictions
        The volumes around what is labelled in any of them.
    spacing_mm
        Distance of neighbouring voxels along each axis.
    window
        Image values drawn black and white.
    point
        A voxel in the worst slice, and in its worst line.
    file_axes
        For each axis: the file's axis (0 to 2), the file's index of its first voxel, and the step (1 or -1).
    """

    image: np.ndarray | None
    reference: np.ndarray
    predictions: tuple[np.ndarray, ...]
    spacing_mm: tuple[float, ...]
    window: tuple[float, float]
    point: tuple[int, int, int]
    file_axes: tuple[tuple[int, int, int], ...]


def scene_of(views: Views) -> Scene:
    """Turn, crop and window a case's volumes for drawing; nothing is copied that need not be."""
    turn = ornt_transform(io_orientation(views.affine), axcodes2ornt(AXES_SHOWN))
    reference = apply_orientation(views.reference, turn)
    maps = [views.prediction] if views.second is None else [views.prediction, views.second]
    predictions = [apply_orientation(labels, turn) for labels in maps]
    sources = np.argsort(turn[:, 0]).astype(int)  # of each axis shown, the file's
    spacing_mm = tuple(spacing_mm_of(views.affine)[axis] for axis in sources)
    box = labelled_box([reference, *predictions], spacing_mm)
    image = None if views.image is None else apply_orientation(views.image, turn)[box]
    reference, predictions = reference[box], [labels[box] for labels in predictions]
    steps = [int(turn[axis, 1]) for axis in sources]
    return Scene(
        image=image,
        reference=reference,
        predictions=tuple(predictions),
        spacing_mm=spacing_mm,
        window=grey_window(image, [reference, *predictions]),
        point=worst_point(reference, predictions),
        file_axes=tuple(
            (int(axis), cut.start if step > 0 else views.reference.shape[axis] - 1 - cut.start, step)
            for axis, step, cut in zip(sources, steps, box, strict=True)
        ),
    )


def labelled_box(maps: Sequence[np.ndarray], spacing_mm: Sequence[float]) -> tuple[slice, ...]:
    """Return the box around all labels with `MARGIN_MM` on each side; everything where nothing is labelled."""
    labelled = reduce(np.logical_or, (labels != 0 for labels in maps))
    cuts = []
    for axis, (size, spacing) in enumerate(zip(labelled.shape, spacing_mm, strict=True)):
        others = tuple(a for a in range(3) if a != axis)
        found = np.flatnonzero(labelled.any(axis=others))
        if not found.size:
            return tuple(slice(0, size) for size in labelled.shape)
        margin = max(1, round(MARGIN_MM / spacing))
        cuts.append(slice(max(0, int(found[0]) - margin), min(size, int(found[-1]) + 1 + margin)))
    return tuple(cuts)


def grey_window(image: np.ndarray | None, maps: Sequence[np.ndarray]) -> tuple[float, float]:
    """Return the image values to draw black and white: what most labelled voxels span, widened on each side.

    So the contrast is where the judgement is, in CT as in MR; it never leaves what the image holds.
    """
    if image is None:
        return 0.0, 1.0
    step = max(1, int(np.ceil((image.size / SAMPLES) ** (1 / 3))))
    thin = tuple(slice(None, None, min(step, size)) for size in image.shape)
    values = np.asarray(image[thin], dtype=np.float32)
    finite = np.isfinite(values)
    if not finite.any():
        return 0.0, 1.0
    low, high = np.percentile(values[finite], (0.5, 99.5))
    labelled = reduce(np.logical_or, (labels[thin] != 0 for labels in maps)) & finite
    if labelled.sum() >= 10:
        dark, bright = np.percentile(values[labelled], (10, 90))
        spare = 0.75 * (bright - dark)
        if spare > 0:
            low, high = max(low, dark - spare), min(high, bright + spare)
    return float(low), float(high if high > low else low + 1.0)


def worst_point(reference: np.ndarray, predictions: Sequence[np.ndarray]) -> tuple[int, int, int]:
    """Return a wrong voxel: in the slice (third axis) with most of them, there in the line (first axis) with most.

    Of that line's wrong voxels it is the middle one. Where nothing is wrong, the same is done for labelled
    voxels, and where nothing is labelled it is the volume's middle. Wrong voxels of two predictions add up.
    """
    nothing = np.broadcast_to(np.zeros((), reference.dtype), reference.shape)
    for compared in (predictions, [nothing]):
        by_slice = np.sum([(reference != labels).sum(axis=(0, 1)) for labels in compared], axis=0)
        k = int(np.argmax(by_slice))
        if by_slice[k]:
            plane = np.sum([reference[..., k] != labels[..., k] for labels in compared], axis=0)
            j = int(np.argmax(plane.sum(axis=0)))
            wrong = np.flatnonzero(plane[:, j])
            return int(wrong[len(wrong) // 2]), j, k
    i, j, k = (size // 2 for size in reference.shape)
    return i, j, k


def to_grey(values: np.ndarray, window: tuple[float, float]) -> np.ndarray:
    """Return image values as uint8, NaN as black."""
    low, high = window
    scaled = (np.asarray(values, dtype=np.float32) - np.float32(low)) * np.float32(255 / (high - low))
    return np.nan_to_num(np.clip(scaled, 0, 255), nan=0.0).astype(np.uint8)
