"""A made-up data set of four channels: a swelling around a tumour, its core and, in that, its bright rim."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from make import ellipsoid
from project import BUNDLES
from scipy.ndimage import gaussian_filter

CHANNELS = ("T1", "T1 contrast", "T2", "FLAIR")
LABELS = {0: "background", 1: "swelling", 2: "core", 3: "rim"}
REGIONS = {"whole tumour": [1, 2, 3], "tumour core": [2, 3], "enhancing": [3]}
BRIGHTNESS = np.array([[0.5, 0.5, 0.5, 0.5], [0.4, 0.4, 0.8, 0.9], [0.3, 0.4, 0.6, 0.6], [0.3, 1.0, 0.6, 0.6]])
AFFINE = np.diag([-1.0, 1.0, 1.0, 1.0])
UNSURE = 9  # the id of voxels that nobody labelled


def tumour_case(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return an image (I, J, K, channels) and its label map (I, J, K)."""
    rng = np.random.default_rng(seed)
    shape = tuple(int(n) for n in rng.integers((22, 24, 20), (27, 29, 25)))
    centre = np.array(shape) / 2 + rng.uniform(-2, 2, 3)
    radius = ellipsoid(shape, centre, rng.uniform(6, 8, 3))
    labels = np.select([radius < 0.12, radius < 0.4, radius < 1], [3, 2, 1], 0).astype(np.uint8)
    image = BRIGHTNESS[labels] + rng.normal(scale=0.05, size=(*shape, len(CHANNELS)))
    image = np.stack([gaussian_filter(channel, 0.5) for channel in np.moveaxis(image, -1, 0)], axis=-1)
    return (image * rng.uniform(200, 900, len(CHANNELS))).astype(np.int16), labels


def write_data_set(folder: Path, cases: int = 4, *, unsure: bool = False) -> Path:
    """Write the cases as the Medical Segmentation Decathlon does, channels along the fourth axis.

    With `unsure`, a slab of each label map is `UNSURE`.
    """
    listed = []
    for seed in range(cases):
        image, labels = tumour_case(seed)
        if unsure:
            labels[:, :6] = UNSURE
        case = {}
        for key, array, inside in (("image", image, "imagesTr"), ("label", labels, "labelsTr")):
            (folder / inside).mkdir(parents=True, exist_ok=True)
            case[key] = f"./{inside}/case_{seed}.nii.gz"
            nibabel.save(nibabel.Nifti1Image(array, AFFINE), folder / case[key])
        listed.append(case)
    (folder / "dataset.json").write_text(json.dumps({"training": listed, "test": []}))
    return folder


def write_channels(folder: Path, seed: int, affines: Mapping[int, np.ndarray] | None = None) -> dict[str, Any]:
    """Write a case with a file for each channel, and return it; `affines` move some of them."""
    image, labels = tumour_case(seed)
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{seed}_{n}.nii.gz" for n in range(len(CHANNELS))]
    for n, path in enumerate(paths):
        nibabel.save(nibabel.Nifti1Image(image[..., n], (affines or {}).get(n, AFFINE)), path)
    label = folder / f"{seed}_label.nii.gz"
    nibabel.save(nibabel.Nifti1Image(labels, AFFINE), label)
    return {"id": f"case_{seed}", "image": [*map(str, paths)], "label": str(label)}


def write_bundle(folder: Path, **changes: Any) -> Path:
    """Write a tiny bundle of four channels; `changes` are of the section ``medseg`` of its metadata."""
    source = BUNDLES / "hippocampus_mr_unet3d"
    shutil.copytree(source / "configs", folder / "configs")
    file = folder / "configs/metadata.json"
    metadata = json.loads(file.read_text())
    data = metadata["network_data_format"]
    data["inputs"]["image"] |= {"num_channels": 4, "channel_def": dict(enumerate(CHANNELS))}
    data["outputs"]["pred"] |= {"num_channels": 4, "channel_def": LABELS}
    numbers = metadata["medseg"]
    numbers |= {"patch_size": [16, 16, 16], "postprocessing": {"largest_component": []}, "segments": {}}
    numbers["split"] = {"seed": 0, "validation": 0.25, "test": 0.0}
    numbers["network"] |= {"channels": 4, "labels": 4, "features": [8, 16]}
    numbers["training"] |= {"max_epochs": 2, "val_interval": 2, "batch_size": 2}
    for key, value in changes.items():
        numbers[key] = {**numbers[key], **value} if isinstance(numbers.get(key), dict) else value
    file.write_text(json.dumps(metadata, indent=2))
    return folder
