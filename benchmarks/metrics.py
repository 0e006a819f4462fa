"""Overlap and surface distance of label maps: medseg beside MONAI, surface-distance and panoptica.

    python benchmarks/metrics.py [--pairs 1000] [--repeats 3] [--part 13|small|117|agreement]

Four parts: agreement over the random pairs of ``tests/oracles/metrics_agreement.py``; 13 labels of 256×256×160;
117 labels of 512×512×400 in a process of its own, with its peak memory; 1,000 pairs as small as a hippocampus. The
label maps are blobs, and a prediction is its reference with the outline moved by smooth noise. Peers take part
where they are installed (``pip install surface-distance panoptica``). The page docs/benchmarks/metrics.md has the
figures.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
from common import machine, medians, peak_mib
from scipy.ndimage import gaussian_filter, zoom

from medseg.metrics.comparison import compare
from medseg.metrics.table import HD95_DEFINITIONS

SPACING_MM = (1.5, 1.5, 1.5)
CT_SPACING_MM = (0.8, 0.8, 1.0)
SMALL_SHAPE, SMALL_PAIRS = (35, 50, 36), 1000
PACKAGES = ("numpy", "scipy", "torch", "monai", "surface-distance", "panoptica")


def organs(
    shape: tuple[int, ...], labels: int, moved_voxels: float, size: float = 0.16
) -> tuple[np.ndarray, np.ndarray]:
    """Return a prediction and a reference, Fortran-ordered as NIfTI stores them."""
    rng = np.random.default_rng(0)
    prediction, reference = (np.zeros(shape, np.uint8, order="F") for _ in range(2))
    for label in range(1, labels + 1):
        centre = [rng.uniform(0.15, 0.85) * n for n in shape]
        radius = [rng.uniform(size / 2, size) * n for n in shape]
        box = tuple(slice(max(0, int(c - 2 * r)), int(c + 2 * r)) for c, r in zip(centre, radius, strict=True))
        box = tuple(slice(b.start, min(b.stop, n)) for b, n in zip(box, shape, strict=True))
        away = [
            (np.arange(b.start, b.stop, dtype=np.float32) - c) / r
            for b, c, r in zip(box, centre, radius, strict=True)
        ]
        distance = np.sqrt(sum(a**2 for a in np.meshgrid(*away, indexing="ij", sparse=True)))
        outline = distance + 0.15 * _noise(rng, distance.shape, 16)
        reference[box][outline < 1] = label
        moved = moved_voxels / min(radius) * _noise(rng, distance.shape, 10)
        prediction[box][outline + moved < 1] = label
    return prediction, reference


def _noise(rng: np.random.Generator, shape: tuple[int, ...], length: int) -> np.ndarray:
    coarse = rng.normal(size=[max(2, n // length) for n in shape]).astype(np.float32)
    return zoom(coarse, [n / m for n, m in zip(shape, coarse.shape, strict=True)], order=1)


def small_pairs() -> list[tuple[np.ndarray, np.ndarray]]:
    """Return pairs of two labels, the two halves of an uneven ellipsoid."""
    rng = np.random.default_rng(0)
    half = np.where(np.arange(SMALL_SHAPE[1]) < SMALL_SHAPE[1] // 2, 1, 2)[None, :, None].astype(np.uint8)
    from_centre = [np.linspace(-1, 1, n) / radius for n, radius in zip(SMALL_SHAPE, (0.4, 0.7, 0.4), strict=True)]
    distance = np.sqrt(sum(x**2 for x in np.meshgrid(*from_centre, indexing="ij")))
    found = []
    for _ in range(SMALL_PAIRS):
        uneven, error = (gaussian_filter(rng.normal(size=SMALL_SHAPE), 2) for _ in range(2))
        outline = distance + 0.15 * uneven / uneven.std()
        masks = (m < 1 for m in (outline + 0.1 * error / error.std(), outline))
        prediction, reference = (np.asfortranarray(mask * half) for mask in masks)
        found.append((prediction, reference))
    return found


def monai_dice_hd95(
    prediction: np.ndarray, reference: np.ndarray, labels: int, spacing_mm: tuple[float, ...]
) -> Callable[[], None]:
    import torch
    from monai.metrics import compute_dice, compute_hausdorff_distance
    from monai.networks.utils import one_hot

    def run() -> None:
        maps = (one_hot(torch.from_numpy(m)[None, None], labels + 1) for m in (prediction, reference))
        ours, theirs = maps
        compute_dice(ours, theirs, include_background=False)
        compute_hausdorff_distance(ours, theirs, percentile=95, spacing=list(spacing_mm))

    return run


def surface_distance_hd95(
    prediction: np.ndarray, reference: np.ndarray, labels: int, spacing_mm: tuple[float, ...]
) -> Callable[[], None] | None:
    try:
        import surface_distance
    except ImportError:
        return None

    def run() -> None:
        for label in range(1, labels + 1):
            found = surface_distance.compute_surface_distances(reference == label, prediction == label, spacing_mm)
            surface_distance.compute_robust_hausdorff(found, 95)

    return run


def show(seconds: dict[str, float], unit: float = 1.0) -> None:
    first = next(iter(seconds.values()))
    for name, value in seconds.items():
        print(f"| {name} | {value * unit:.3f} | {value / first:.1f}× |")


def agreement(pairs: int) -> None:
    from oracles.metrics_agreement import NAMES, largest_differences

    worst, kinds = largest_differences(pairs)
    print(f"\nLargest difference over {pairs} pairs ({', '.join(f'{n} {kind}' for kind, n in kinds.items())})\n")
    print(f"| tool | definition | {' | '.join(NAMES)} |\n|---|---|{'---:|' * len(NAMES)}")
    for tool, definition in dict.fromkeys(key[:2] for key in worst):
        values = [worst.get((tool, definition, name)) for name in NAMES]
        print(f"| {tool} | {definition} | {' | '.join('' if v is None else f'{v:.0e}' for v in values)} |")


def thirteen_labels(repeats: int) -> None:
    shape, labels = (256, 256, 160), 13
    print(f"\n{labels} labels, {shape}; median of {repeats}")
    for kind, moved in (("a prediction off by a voxel or two", 1.5), ("perfect", 0.0), ("poor", 8.0)):
        prediction, reference = organs(shape, labels, moved, size=0.2)
        how = {"spacing_mm": SPACING_MM, "labels": range(1, labels + 1)}

        def ours(
            hd95: str = "directed-max", p: np.ndarray = prediction, r: np.ndarray = reference, how: dict = how
        ) -> object:
            return compare(p, r, metrics=("dice", "hd95_mm"), hd95=hd95, **how)

        dice, hd95 = np.mean([list(values.values()) for values in ours().values()], axis=0)
        foreground = (reference > 0).mean()
        print(f"\n{kind}: mean Dice {dice:.3f}, HD95 {hd95:.1f} mm, {foreground:.0%} foreground\n")
        print("| run | s | ratio |\n|---|---:|---:|")
        runs: dict[str, Callable[[], object]] = {
            "medseg, Dice + HD95": ours,
            "medseg, HD95 area-weighted": lambda ours=ours: ours("area-weighted"),
            "medseg, all default metrics": lambda p=prediction, r=reference, how=how: compare(p, r, **how),
            "MONAI, Dice + HD95": monai_dice_hd95(prediction, reference, labels, SPACING_MM),
        }
        if peer := surface_distance_hd95(prediction, reference, labels, SPACING_MM):
            runs["surface-distance, HD95"] = peer
        show(medians(runs, repeats))


def many_labels(repeats: int) -> None:
    shape, labels = (512, 512, 400), 117
    prediction, reference = organs(shape, labels, 1.5)
    foreground = (reference > 0).mean()
    print(
        f"\n{labels} labels, {shape}, {foreground:.0%} foreground; medians of {repeats}, in a process of its own\n"
    )
    print("| maps | metrics | s | peak RSS, GiB | of it before |\n|---|---|---:|---:|---:|")
    with tempfile.TemporaryDirectory() as folder:
        np.save(Path(folder) / "prediction.npy", prediction)
        np.save(Path(folder) / "reference.npy", reference)
        del prediction, reference
        for dtype, hd95 in (("uint8", "directed-max"), ("int16", "directed-max"), ("uint8", "area-weighted")):
            command = [sys.executable, __file__, "--compare", folder, dtype, hd95]
            runs = [
                [
                    float(x)
                    for x in subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
                ]
                for _ in range(repeats)
            ]
            seconds, peak, before = (statistics.median(values) for values in zip(*runs, strict=True))
            print(f"| {dtype} | all default ones, {hd95} | {seconds:.2f} | {peak:.2f} | {before:.2f} |")


def compare_in_this_process(folder: str, dtype: str, hd95: str) -> None:
    maps = [np.load(Path(folder) / f"{n}.npy").astype(dtype, copy=False) for n in ("prediction", "reference")]
    before, start = peak_mib() / 1024, time.perf_counter()
    compare(*maps, spacing_mm=CT_SPACING_MM, labels=range(1, 118), hd95=hd95)
    print(time.perf_counter() - start, peak_mib() / 1024, before)


def many_pairs(repeats: int) -> None:
    pairs = small_pairs()
    how = {"spacing_mm": (1.0, 1.0, 1.0), "labels": (1, 2)}

    def ours(**more: object) -> None:
        for p, r in pairs:
            compare(p, r, **how, **more)

    peers = {"surface-distance, HD95": surface_distance_hd95, "MONAI, Dice + HD95": monai_dice_hd95}
    runs: dict[str, Callable[[], object]] = {
        f"medseg, all default metrics, {hd95}": lambda hd95=hd95: ours(hd95=hd95) for hd95 in HD95_DEFINITIONS
    }
    runs["medseg, Dice + HD95"] = lambda: ours(metrics=("dice", "hd95_mm"))
    for name, peer in peers.items():
        each = [peer(p, r, 2, (1.0, 1.0, 1.0)) for p, r in pairs]
        if all(each):
            runs[name] = lambda each=each: [run() for run in each]
    print(f"\n{len(pairs)} pairs of {SMALL_SHAPE}, 2 labels; median of {repeats}, s\n")
    print("| run | s | ratio |\n|---|---:|---:|")
    show(medians(runs, repeats))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--part", action="append", choices=("13", "small", "117", "agreement"))
    parser.add_argument("--compare", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.compare:
        compare_in_this_process(*arguments.compare)
        return
    warnings.simplefilter("ignore")  # of peers about their own calls
    print(machine(*PACKAGES))
    parts = {
        "13": lambda: thirteen_labels(arguments.repeats),
        "small": lambda: many_pairs(arguments.repeats),
        "117": lambda: many_labels(arguments.repeats),
        "agreement": lambda: agreement(arguments.pairs),
    }
    for part in arguments.part or parts:
        parts[part]()


if __name__ == "__main__":
    main()
