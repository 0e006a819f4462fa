"""Processor time of a training step and of a patch: medseg's trainer as a bundle runs it, and the bare loop.

    python benchmarks/training_step.py [--steps 40] [--threads 1]

Batches of 2 patches of 40×56×40, in the precision that suits the CPU. "Bare loop" is the same network, loss and
optimizer on one batch that is made before; "trainer" is MONAI's `SupervisedTrainer` with our handlers, sampler and
augmentation. The runs take turns. Processor time, not the clock's, is what a shared machine can tell. The page
docs/benchmarks/training_step.md has the figures.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator, Mapping
from statistics import median

import torch
from common import machine
from monai.data import DataLoader
from monai.engines import SupervisedTrainer
from monai.transforms import (
    Compose,
    RandAdjustContrastd,
    RandAffined,
    RandGaussianNoised,
    RandGaussianSmoothd,
    RandScaleIntensityd,
    RandShiftIntensityd,
    RandSimulateLowResolutiond,
    RandSpatialCropd,
    ToTensord,
)

from medseg.infer import SimpleInferer, channels_last, use_sample_norms
from medseg.networks import build
from medseg.training import (
    AugmentedDataset,
    EpochSampler,
    FastNorms,
    GradientClipping,
    WeightAverage,
    augmentation,
    make_optimizer,
    segmentation_loss,
)
from medseg.training.patch_places import labelled_voxels

PATCH, BATCH = (40, 56, 40), 2
NUMBERS = {"spatial_dims": 3, "labels": 3, "patch_size": PATCH}
UNET = {**NUMBERS, "features": [16, 32, 64, 128, 256], "full_resolution": True, "residual_units": 1}
NETWORKS = {
    "residual UNet 16-256, PReLU": UNET,
    "residual UNet 16-256, LeakyReLU": {**UNET, "activation": "leakyrelu"},
    "dynunet 16-128": {**NUMBERS, "architecture": "dynunet", "features": [16, 32, 64, 128]},
}


def cpu_ms(runs: Mapping[str, Callable[[], object]], turns: int) -> dict[str, float]:
    """Return each run's median milliseconds of processor time; the runs take turns after a warm-up."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(turns + 1):
        for name, run in runs.items():
            start_s = time.process_time()
            run()
            if turn:
                times[name].append(1e3 * (time.process_time() - start_s))
    return {name: median(found) for name, found in times.items()}


def cases(n: int = 20) -> list[dict]:
    """Return made-up cases of the hippocampus's size."""
    torch.manual_seed(0)
    made = []
    for _ in range(n):
        label = torch.zeros(1, *PATCH, dtype=torch.uint8)
        label[:, 10:30, 15:30, 12:28], label[:, 10:30, 30:45, 12:28] = 1, 2
        made.append({"image": torch.randn(1, *PATCH), "label": label, "foreground": labelled_voxels(label)})
    return made


def bare(numbers: dict, *, fast_norms: bool, fused: bool, loss: str = "dice_ce") -> Callable[[], None]:
    """Return a step of the bare loop."""
    network = channels_last(build(**numbers)).train()
    if fast_norms:
        use_sample_norms(network)
    optimizer = (
        make_optimizer(network.parameters(), lr=1e-3)
        if fused
        else torch.optim.AdamW(network.parameters(), lr=1e-3)
    )
    image, label = torch.randn(BATCH, 1, *PATCH), torch.randint(0, 3, (BATCH, 1, *PATCH)).float()
    infer, criterion = SimpleInferer(), segmentation_loss(loss)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        criterion(infer(image, network), label).backward()
        optimizer.step()

    return step


def trainer(numbers: dict, data: list[dict]) -> Callable[[], None]:
    """Return an epoch of ten steps of MONAI's trainer as ``train.json`` makes it."""
    network = channels_last(build(**numbers))
    dataset = AugmentedDataset(data, augmentation(patch_size=PATCH))  # type: ignore[arg-type]
    loader = DataLoader(dataset, sampler=EpochSampler(dataset, patches=10 * BATCH), batch_size=BATCH)
    optimizer = make_optimizer(network.parameters(), lr=1e-3)

    def run() -> None:
        SupervisedTrainer(
            device="cpu",
            max_epochs=1,
            train_data_loader=loader,
            network=network,
            optimizer=optimizer,
            loss_function=segmentation_loss("dice_ce"),
            inferer=SimpleInferer(),
            train_handlers=[FastNorms(network), GradientClipping(network, 12.0), WeightAverage(network)],
            decollate=False,
            optim_set_to_none=True,
        ).run()

    return run


def rows(steps: int) -> Iterator[str]:
    data = cases()
    for name, numbers in NETWORKS.items():
        fast = bare(numbers, fast_norms=True, fused=True)
        kinds = {
            "bare loop, torch's norms and AdamW": bare(numbers, fast_norms=False, fused=False),
            "bare loop, fast norms": bare(numbers, fast_norms=True, fused=False),
            "bare loop, fast norms, fused AdamW": fast,
        }
        for kind, ms in cpu_ms(kinds, steps).items():
            yield f"| {name} | {kind} | {ms:.0f} |"
        ten = cpu_ms(
            {"bare": lambda fast=fast: [fast() for _ in range(10)], "trainer": trainer(numbers, data)}, steps // 10
        )
        yield f"| {name} | trainer | {ten['trainer'] / 10:.0f} ({ten['trainer'] / ten['bare'] - 1:+.0%}) |"


def patches(patch_size: tuple[int, ...], shape: tuple[int, ...], by_monai: bool) -> Callable[[], object]:
    """Return what draws a batch of two patches from made-up cases."""
    label = torch.zeros(1, *shape, dtype=torch.uint8)
    label[:, 5:25, 5:25, 5:25] = 1
    case = {"image": torch.randn(1, *shape), "label": label, "foreground": labelled_voxels(label)}
    if by_monai:
        steps = monai_steps(patch_size)
        given = {"image": case["image"], "label": label.float()}
        return lambda: [steps(given) for _ in range(BATCH)]
    dataset = AugmentedDataset([case], augmentation(patch_size=patch_size))  # type: ignore[arg-type]
    keys = iter(range(10**9))
    return lambda: dataset.__getitems__([(next(keys), 0) for _ in range(BATCH)])


def monai_steps(patch_size: tuple[int, ...]) -> Compose:
    """Return MONAI's dictionary transforms for the same changes, as medseg had them before."""
    both = ("image", "label")
    sd = {f"sigma_{axis}": (0.5, 1.0) for axis in "xyz"}
    return Compose(
        [
            RandSpatialCropd(both, patch_size, random_size=False),
            RandAffined(
                both,
                prob=0.8,
                rotate_range=[0.3] * 3,
                scale_range=[0.2] * 3,
                shear_range=[0.1] * 6,
                translate_range=[n * 0.1 for n in patch_size],
                spatial_size=patch_size,
                mode=("bilinear", "nearest"),
                padding_mode="zeros",
            ),
            RandGaussianNoised("image", prob=0.15, std=0.1),
            RandGaussianSmoothd("image", prob=0.15, **sd),
            RandScaleIntensityd("image", prob=0.3, factors=0.25),
            RandShiftIntensityd("image", prob=0.15, offsets=0.1),
            RandAdjustContrastd("image", prob=0.3, gamma=(0.7, 1.5), retain_stats=True),
            RandSimulateLowResolutiond("image", prob=0.15, zoom_range=(0.5, 1.0), upsample_mode="trilinear"),
            ToTensord(both, track_meta=False),
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    print(machine("torch", "monai"), f"{arguments.threads} threads")
    print("\n| patch | drawn by | ms a patch |\n|---|---|---|")
    for size, shape in [(PATCH, PATCH), ((96, 96, 96), (180, 180, 120))]:
        runs = {"medseg": patches(size, shape, False), "MONAI's dictionary transforms": patches(size, shape, True)}
        for name, ms in cpu_ms({name: repeated(run) for name, run in runs.items()}, 5).items():
            print(f"| {'×'.join(map(str, size))} | {name} | {ms / 20 / BATCH:.1f} |", flush=True)
    print("\n| network | run | ms a step |\n|---|---|---|")
    for row in rows(arguments.steps):
        print(row, flush=True)


def repeated(run: Callable[[], object]) -> Callable[[], object]:
    return lambda: [run() for _ in range(20)]


if __name__ == "__main__":
    main()
