"""The rules of network, training and inference: what there is to spend, and what is made of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, prod
from typing import Any

import numpy as np

from medseg.errors import InputError
from medseg.planning.architecture import choose_architecture
from medseg.planning.choices import Choices
from medseg.planning.fingerprint import Fingerprint
from medseg.planning.patch import fitting_patch
from medseg.planning.rules import COARSE, grid_spacing_mm, median_shape

# Voxels a second in training, on two cores in bfloat16: a step of two 40×56×40 patches through 16 to 256 features
# takes 0.31 s; that of slices is a guess until it is measured
CPU_VOXELS_PER_S = {3: 580_000, 2: 430_000}
CPU_STEPS = 1500  # fewer leave a network of this size unfinished, whatever the patch
CPU_VOXELS = (32_768, 262_144)  # of a patch: less sees no anatomy, more leaves no time for other patches
GPU_MIB = 8192.0  # what nnU-Net plans for
# nnU-Net's plan for 8 GB: two patches of 128×128×128 with 32 features
BYTES_PER_VOXEL_AND_FEATURE = 64
CPU_BYTES_FACTOR = 2  # float32 instead of 16 bits
QUARTER = 0.25  # a patch that sees less of the median case sees too little context at full resolution (nnU-Net)
HALF_RESOLUTION = 3  # times as many voxels in the same time where the first convolution halves the image
SHARE_OF_DATA = 0.05  # a batch holds no more of all voxels (nnU-Net)
TOTAL_STEPS = 250_000  # nnU-Net's 1000 epochs of 250; an end for runs without minutes
STEPS_PER_EPOCH = 50
CPU_MINUTES = 15
PIECE_SHARE = 0.99  # a label of which this much is one piece in every case is one piece
ROTATE_RAD, SCALE = 0.52, [0.7, 1.4]  # nnU-Net's, with its probabilities


@dataclass(frozen=True)
class Means:
    """What there is to spend.

    Attributes
    ----------
    device
        ``"cpu"`` or ``"cuda"``.
    memory_mib
        Of the machine or the GPU, for training.
    """

    device: str
    memory_mib: float


@dataclass(frozen=True)
class Planned:
    """The sections of ``medseg`` in a bundle's metadata that these rules give."""

    patch_size: list[int]
    network: dict[str, Any]
    training: dict[str, Any]
    augmentation: dict[str, Any]
    inference: dict[str, Any]
    postprocessing: dict[str, Any]


def choose_network(data: Fingerprint, preprocessing: dict[str, Any], means: Means, chosen: Choices) -> Planned:
    """Choose patch, network, training, augmentation, inference and postprocessing."""
    dims = chosen["dims"].value
    shape, spacing_mm = median_shape(data, preprocessing)[:dims], grid_spacing_mm(data, preprocessing)[:dims]
    max_minutes = chosen.take("max_minutes", *_minutes(means))
    budget_mib = chosen.take("budget_mib", means.memory_mib, f"what a {means.device} has for training")
    base = 32 if means.device == "cuda" or dims == 2 else 16
    most, why = _most_voxels(dims, means.device, base, float(max_minutes), float(budget_mib))
    full = chosen.take("full_resolution", *_full_resolution(shape, spacing_mm, most, means.device))
    most *= 1 if full else HALF_RESOLUTION
    patch = fitting_patch(shape, spacing_mm, most)
    reason = f"a cube in mm, clipped to the median shape {'×'.join(f'{n:.0f}' for n in shape)}"
    fits = patch.voxels >= 0.9 * prod(shape)
    reason += ", in steps that the network halves" if fits else f", shortened to {most:,.0f} voxels: {why}"
    size = [int(n) for n in chosen.take("patch_size", list(patch.size), reason)]
    if len(size) != dims:
        raise InputError(
            "CONFIG_BAD_VALUE", f"patch_size={size}: {dims} axes are planned for; give as many, or dims"
        )
    labels = len(data.regions) or len(data.labels) + 1
    network = choose_architecture(len(data.channels), labels, size, spacing_mm, base, means.device, chosen)
    training = _training(data, dims, size, shape, most, max_minutes, chosen)
    return Planned(
        size,
        network,
        training,
        _augmentation(dims, spacing_mm, size, shape, chosen),
        _inference(chosen, size),
        {"largest_component": _largest_component(data, chosen)},
    )


def _minutes(means: Means) -> tuple[float, str]:
    if means.device == "cpu":
        return CPU_MINUTES, "what a processor's user waits for; give more for more accuracy"
    return 0, "no limit but max_epochs"


def _most_voxels(dims: int, device: str, base: int, minutes: float, budget_mib: float) -> tuple[float, str]:
    """Return how many voxels a patch may have, two in a batch, and why."""
    by_memory = budget_mib * 2**20 / (BYTES_PER_VOXEL_AND_FEATURE * base * 2)
    if device == "cuda":
        return by_memory, f"two fit into {budget_mib:g} MiB"
    low, high = CPU_VOXELS
    by_time = high if not minutes else minutes * 60 / CPU_STEPS * CPU_VOXELS_PER_S[dims] / 2
    most = min(max(low, min(by_time, high)), by_memory / CPU_BYTES_FACTOR)
    steps = int(minutes * 60 * CPU_VOXELS_PER_S[dims] / (2 * most)) if minutes else CPU_STEPS
    why = "two cores take" if by_time >= low else "less would see no anatomy, though two cores take only"
    return most, f"{why} some {steps:,} steps in the time"


def _full_resolution(shape: np.ndarray, spacing_mm: np.ndarray, most: float, device: str) -> tuple[bool, str]:
    if device != "cpu":
        return True, "finer edges; there is the time for it"
    seen = min(fitting_patch(shape, spacing_mm, most).voxels / prod(shape), 1.0)
    if seen >= QUARTER:
        return True, f"a patch at full resolution sees {seen:.0%} of the median case"
    return False, (
        f"a patch at full resolution would see {seen:.0%} of the median case; the first convolution halves it, "
        "and a patch may be larger"
    )


def _training(
    data: Fingerprint,
    dims: int,
    size: Sequence[int],
    shape: np.ndarray,
    most: float,
    minutes: float,
    chosen: Choices,
) -> dict[str, Any]:
    validation = chosen.take("validation", 0.2, "a fifth, as in five folds")
    chosen.take("test", 0.0, "none: test on cases of another place")
    chosen.take("seed", 0, "any")
    several = f"{data.cases} cases are of {data.patients} patients, as their ids say"
    chosen.take("by_patient", data.patients < data.cases, several)
    cases = max(1, round(data.cases * (1 - validation - chosen["test"].value)))
    slices = 1 if dims == 3 else int(np.median(data.shapes.min(axis=1)))
    all_voxels = cases * prod(shape) * slices
    room = max(2, int(2 * most / prod(size)))
    batch = max(2, min(room, int(SHARE_OF_DATA * all_voxels / prod(size)), 64 if dims == 2 else 16))
    batch = chosen.take("batch_size", batch, "as many as there is room for, at most 5 % of all voxels, at least 2")
    per_case = max(1, round(STEPS_PER_EPOCH * batch / cases))
    per_case = chosen.take("patches_per_case", per_case, f"an epoch of at least {STEPS_PER_EPOCH} steps")
    steps = max(1, cases * per_case // batch)
    windows = prod(ceil(max(n - side, 0) / (side / 2)) + 1 for n, side in zip(shape, size, strict=True)) * slices
    seen = data.cases * validation * windows / 3  # a forward pass is a third of a step
    interval = int(min(50, max(2, ceil(10 * seen / (steps * batch)))))
    return {
        "max_epochs": chosen.take("max_epochs", ceil(TOTAL_STEPS / steps), f"{TOTAL_STEPS:,} steps at most"),
        "max_minutes": minutes,
        "val_interval": chosen.take("val_interval", interval, "a validation takes about a tenth of the time"),
        "batch_size": batch,
        "patches_per_case": per_case,
        "learning_rate": chosen.take(
            "learning_rate", 0.0015 if dims == 3 else 0.002, "AdamW, as the hippocampus bundles have it"
        ),
    }


def _augmentation(
    dims: int, spacing_mm: np.ndarray, size: Sequence[int], shape: np.ndarray, chosen: Choices
) -> dict[str, Any]:
    rotate: Any = ROTATE_RAD
    reason = "30 degrees, as nnU-Net"
    if dims == 3 and spacing_mm.max() / spacing_mm.min() >= COARSE:
        coarse = int(np.argmax(spacing_mm))
        rotate = [ROTATE_RAD if axis == coarse else 0.0 for axis in range(3)]
        reason += f", about axis {coarse} alone: others would turn coarse voxels into fine ones"
    seen = prod(size) / prod(shape)
    share = round(1 / 3, 3) if seen >= 1 / 2 else 0.5
    why = f"of the patches hold a label for sure; one is {min(seen, 1):.0%} of the median case"
    return {
        "flip_axes": chosen.take("flip_axes", [], "none: only you know whether a mirrored body is another body"),
        "rotate_rad": chosen.take("rotate_rad", rotate, reason),
        "scale": chosen.take("scale", SCALE, "as nnU-Net"),
        "shear": chosen.take("shear", 0.0, "none: bodies are not sheared"),
        "foreground_share": chosen.take("foreground_share", share, why),
    }


def _inference(chosen: Choices, size: Sequence[int]) -> dict[str, Any]:
    batch = max(1, min(64, int(CPU_VOXELS[1] / prod(size))))
    return {
        "overlap": chosen.take("overlap", 0.5, "half a window, as nnU-Net"),
        "batch_size": chosen.take("inference_batch_size", batch, "windows that are as large as one large patch"),
    }


def _largest_component(data: Fingerprint, chosen: Choices) -> list[int]:
    if data.regions:
        return list(chosen.take("largest_component", [], "none: regions overlap"))
    whole = [
        i for i, facts in data.labels.items() if facts["cases"] and facts["largest_piece_share"] >= PIECE_SHARE
    ]
    reason = f"labels of which {PIECE_SHARE:.0%} or more is one piece in every case"
    return list(chosen.take("largest_component", whole, reason))
