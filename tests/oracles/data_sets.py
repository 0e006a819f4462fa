"""Small labelled data sets of every layout and of odd shapes, as a user may bring them to be planned for."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from make import write_nifti
from scipy.ndimage import gaussian_filter


def labelled_volume(
    seed: int, shape: tuple[int, ...] = (24, 28, 20), labels: int = 2, channels: int = 1
) -> tuple[list[np.ndarray], np.ndarray]:
    """Return images, one a channel, and a label map with blocks of 1 to `labels` that the images show."""
    rng = np.random.default_rng(seed)
    places = np.zeros(shape, np.uint8)
    side = max(1, int(np.ceil(labels ** (1 / 3))))
    steps = [max(2, n // (side + 1)) for n in shape]
    for label in range(labels):
        at = np.unravel_index(label, (side, side, side))
        cut = tuple(slice(a * s + 1, a * s + 1 + max(1, s - 1)) for a, s in zip(at, steps, strict=True))
        places[cut] = label + 1
    if min(shape) == 1:
        places[:] = 0
        for label in range(labels):
            places[2 + 5 * label : 6 + 5 * label, 3:9] = label + 1
    images = []
    for channel in range(channels):
        image = 100 + 20 * gaussian_filter(rng.normal(size=shape), 1) + 40.0 * (places > channel % max(labels, 1))
        images.append((image + 3 * rng.normal(size=shape)).astype(np.float32))
    return images, places


def images_and_labels(
    folder: Path, cases: int = 4, spacing_mm: tuple[float, ...] = (1.0, 1.0, 1.0), **how
) -> Path:
    """Write ``images/`` and ``labels/``."""
    for n in range(cases):
        (image, *_), labels = labelled_volume(n, **how)
        write_nifti(folder / f"images/case_{n}.nii.gz", image, spacing_mm)
        write_nifti(folder / f"labels/case_{n}.nii.gz", labels, spacing_mm)
    return folder


def nnunet_raw(
    folder: Path,
    cases: int = 4,
    labels: dict | None = None,
    channels: tuple[str, ...] = ("T1", "T2"),
    labels_there: int = 2,
) -> Path:
    """Write nnU-Net's raw form, with two cases to predict; label maps hold the ids 1 to `labels_there`."""
    spacing_mm = (1.0, 1.0, 1.0)
    for n in range(cases + 2):
        images, places = labelled_volume(n, labels=labels_there, channels=len(channels))
        part = "imagesTr" if n < cases else "imagesTs"
        for channel, image in enumerate(images):
            write_nifti(folder / f"{part}/case_{n:03}_{channel:04}.nii.gz", image, spacing_mm)
        if n < cases:
            write_nifti(folder / f"labelsTr/case_{n:03}.nii.gz", places, spacing_mm)
    listing = {
        "channel_names": {str(n): name for n, name in enumerate(channels)},
        "labels": labels or {"background": 0, "first": 1, "second": 2},
        "numTraining": cases,
        "file_ending": ".nii.gz",
    }
    (folder / "dataset.json").write_text(json.dumps(listing))
    return folder


def bids(folder: Path, subjects: int = 3) -> Path:
    """Write a BIDS tree: subjects with one session and a T1w, labels among derivatives."""
    (folder / "derivatives").mkdir(parents=True)
    (folder / "dataset_description.json").write_text('{"Name": "made up", "BIDSVersion": "1.10.0"}')
    for n in range(subjects):
        (image, *_), labels = labelled_volume(n)
        where = f"sub-{n:02}/ses-01/anat"
        name = f"sub-{n:02}_ses-01"
        write_nifti(folder / where / f"{name}_T1w.nii.gz", image, (1.0, 1.0, 1.0))
        write_nifti(folder / "derivatives/manual" / where / f"{name}_dseg.nii.gz", labels, (1.0, 1.0, 1.0))
    return folder
