"""Pictures of segmentations: fixed colours per label, slices where the error is largest."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from medseg.write import atomic

# Okabe and Ito's colours, told apart by colour-blind readers too (Color Universal Design, 2008).
PALETTE = np.array(
    [
        (230, 159, 0),
        (86, 180, 233),
        (0, 158, 115),
        (240, 228, 66),
        (0, 114, 178),
        (213, 94, 0),
        (204, 121, 167),
    ],
    dtype=np.float32,
)
OPACITY = 0.5


def label_colours(label_ids: np.ndarray | int) -> np.ndarray:
    """Return the RGB colour, 0 to 255, of each label id; the same id has the same colour everywhere."""
    return PALETTE[(np.asarray(label_ids) - 1) % len(PALETTE)]


def may_be_shown(codes: str | Iterable[str]) -> bool:
    """Say whether pictures may be drawn of an image read with these codes; burned-in text may name the patient."""
    return "DICOM_BURNED_IN_ANNOTATION" not in codes


def overlay(image: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the slice `image` (I, J) in grey with `labels` (I, J) in colour, as an uint8 RGB picture (J, I, 3).

    The first axis points right and the second up, as RAS+ slices are drawn.
    """
    low, high = np.percentile(image, (1, 99))
    grey = np.clip((image - low) / max(high - low, 1e-6), 0, 1)[..., None] * np.full(3, 255.0)
    coloured = (1 - OPACITY) * grey + OPACITY * label_colours(labels)
    picture = np.where((labels > 0)[..., None], coloured, grey)
    return np.flip(picture.transpose(1, 0, 2), axis=0).round().astype(np.uint8)


def worst_slice(prediction: np.ndarray, reference: np.ndarray) -> int:
    """Return the index along the third axis with most wrong voxels, or with most labelled ones if none is."""
    wrong = (prediction != reference).sum(axis=(0, 1))
    return int(np.argmax(wrong if wrong.any() else (reference > 0).sum(axis=(0, 1))))


def slice_row(image: np.ndarray, reference: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    """Return image, reference and prediction side by side, one slice of each, as an uint8 RGB picture."""
    k = worst_slice(prediction, reference)
    nothing = np.zeros_like(reference[..., k])
    shown = [overlay(image[..., k], labels) for labels in (nothing, reference[..., k], prediction[..., k])]
    return np.concatenate(shown, axis=1)


def write_overlay(
    path: str | Path,
    *,
    title: str,
    image: np.ndarray,
    reference: np.ndarray,
    prediction: np.ndarray,
    spacing_mm: Sequence[float],
    label_names: Mapping[int, str],
) -> None:
    """Write a PNG: three orthogonal slices through the worst error, image, reference and prediction each.

    Parameters
    ----------
    image, reference, prediction
        Arrays (I, J, K) on one grid.
    spacing_mm
        Voxels are drawn in their true proportions.
    label_names
        Shown in the legend in their colours.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    figure = Figure(figsize=(9, 9.6), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.subplots(3, 3)
    for row, axis in enumerate((2, 1, 0)):
        turned = [np.moveaxis(volume, axis, 2) for volume in (image, reference, prediction)]
        spacing = [spacing_mm[a] for a in range(3) if a != axis]
        k = worst_slice(turned[2], turned[1])
        cut = [volume[..., k] for volume in turned]
        for column, labels in enumerate((np.zeros_like(cut[1]), cut[1], cut[2])):
            panel = axes[row, column]
            panel.imshow(overlay(cut[0], labels), aspect=spacing[1] / spacing[0], interpolation="nearest")
            panel.set_axis_off()
            if row == 0:
                panel.set_title(("image", "reference", "prediction")[column], fontsize=10)
    figure.suptitle(title, fontsize=11)
    figure.legend(
        handles=[Patch(color=tuple(label_colours(i) / 255), label=name) for i, name in label_names.items()],
        loc="outside lower center",
        ncols=min(6, len(label_names)),
        frameon=False,
    )
    with atomic(path) as part:
        figure.savefig(part, dpi=110, format="png")
