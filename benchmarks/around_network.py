"""A CT from file to label map, all but the network, medseg beside MONAI: ``python benchmarks/around_network.py``.

A CT-like volume lies in a temporary folder as .nii.gz. Each pipeline reads it, prepares it as the spleen bundle
does (RAS, 1.5 mm, cropped to the body, windowed), is handed scores of three classes that were computed beforehand,
takes them to the file's own grid, gives each voxel its best class and writes a .nii.gz. The pipelines take turns,
each time in a process of its own, which has done it with a small volume before.
"""

from __future__ import annotations

import argparse
import gzip
import json
import logging
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # for both, as the `medseg` command sets it

import nibabel
import numpy as np
import torch
from common import machine, peak_mib
from read_nifti import ct_like

SPACING_MM = (1.5, 1.5, 1.5)
WINDOW_HU = (-41.0, 176.0)
MEAN_HU, SD_HU = 99.3, 39.5
CROP_ABOVE_HU = -900.0
NOISE_HU = 40.0  # with it the file is as large as a thin-slice CT's
STRUCTURES = (((0.45, 0.40, 0.5), (0.22, 0.2, 0.3)), ((0.62, 0.55, 0.55), (0.08, 0.1, 0.15)))  # centres, radii
SLAB_PLANES = 32
Timings = dict[str, float]
Timed = Callable[[str], object]


def places(
    grid_shape: tuple[int, ...], grid_affine: np.ndarray, extent_mm: np.ndarray
) -> tuple[torch.Tensor, ...]:
    """Return where the voxels of a grid lie in the volume, as shares of its extent along x, y and z."""
    world = [
        torch.arange(n, dtype=torch.float32) * float(grid_affine[a, a]) + float(grid_affine[a, 3])
        for a, n in enumerate(grid_shape)
    ]
    return torch.meshgrid(*[w / mm for w, mm in zip(world, extent_mm, strict=True)], indexing="ij")


def blob_scores(grid_shape: tuple[int, ...], grid_affine: np.ndarray, extent_mm: np.ndarray) -> torch.Tensor:
    """Return scores (3, I, J, K) as a trained network gives them: smooth, with large regions of one class.

    They are a function of the place in the patient alone, so that they fit whichever grid is asked for.
    """
    x, y, z = places(grid_shape, grid_affine, extent_mm)
    wobble = 0.15 * torch.sin(40 * x) * torch.sin(40 * y) * torch.sin(30 * z)
    scores = torch.zeros(3, *grid_shape)
    for label, (centre, radii) in enumerate(STRUCTURES, 1):
        squared = sum(((w - c) / r) ** 2 for w, c, r in zip((x, y, z), centre, radii, strict=True))
        scores[label] = 8 * (1 - squared.sqrt() + wobble)
    return scores.clamp_(-12, 12)


def medseg_preprocessing() -> Any:
    """Return medseg's preprocessing of a CT, as the spleen bundle does it."""
    from medseg.preprocess import preprocessing

    intensity = {"kind": "ct", "window_hu": WINDOW_HU, "mean_hu": MEAN_HU, "sd_hu": SD_HU}
    return preprocessing(intensity=intensity, spacing_mm=SPACING_MM, crop_above=CROP_ABOVE_HU)


def with_medseg(path: Path, output: Path, timed: Timed, scores_of: Callable[..., torch.Tensor]) -> None:
    from medseg.infer.native import NativeLabels
    from medseg.preprocess.keys import IMAGE
    from medseg.read.study import read_volume
    from medseg.write.nifti import write_label_map

    steps = medseg_preprocessing()
    with timed("read"):
        volume = read_volume(path)
    with timed("preprocess"):
        image = steps({IMAGE: volume})[IMAGE]
    scores = scores_of(image)
    with timed("scores to native labels"):
        native = NativeLabels(
            native_shape=volume.array.shape,
            native_affine=volume.affine,
            grid_shape=image.shape[1:],
            grid_affine=np.asarray(image.affine),
            axis=0,
        )
        for slab in scores.split(SLAB_PLANES, dim=1):
            native.add(slab)
        labels = native.finish()
    with timed("write"):
        write_label_map(output, labels, volume.affine, like=path)


def monai_transforms() -> tuple[list, list]:
    """Return MONAI's transforms that read a CT, and those that prepare it as the spleen bundle does."""
    from monai.transforms import (
        CropForegroundd,
        EnsureChannelFirstd,
        LoadImaged,
        Orientationd,
        ScaleIntensityRanged,
        Spacingd,
    )

    scaled = [(hu - MEAN_HU) / SD_HU for hu in WINDOW_HU]
    prepare = [
        Orientationd("image", axcodes="RAS", labels=(("L", "R"), ("P", "A"), ("I", "S"))),
        Spacingd("image", pixdim=SPACING_MM, mode="bilinear"),
        CropForegroundd("image", "image", select_fn=lambda x: x > CROP_ABOVE_HU, allow_smaller=True),
        ScaleIntensityRanged("image", *WINDOW_HU, *scaled, clip=True),
    ]
    return [LoadImaged("image"), EnsureChannelFirstd("image")], prepare


def monai_save(output: Path) -> Any:
    """Return MONAI's transform that writes label maps beside `output`."""
    from monai.transforms import SaveImaged

    where = {"output_dir": output.parent, "output_postfix": "monai", "separate_folder": False}
    return SaveImaged("pred", output_dtype=np.uint8, print_log=False, **where)


def with_monai(path: Path, output: Path, timed: Timed, scores_of: Callable[..., torch.Tensor]) -> None:
    from monai.data import MetaTensor
    from monai.transforms import AsDiscreted, Compose, Invertd

    load, prepare = monai_transforms()
    with timed("read"):
        data = Compose(load)({"image": str(path)})
    with timed("preprocess"):
        data = Compose(prepare)(data)
    data["pred"] = MetaTensor(
        scores_of(data["image"]), meta=data["image"].meta, applied_operations=data["image"].applied_operations
    )
    with timed("scores to native labels"):
        back = Invertd("pred", Compose([*load, *prepare]), orig_keys="image", nearest_interp=False)
        data = AsDiscreted("pred", argmax=True)(back(data))
    save = monai_save(output)
    with timed("write"):
        save(data)


PIPELINES = {"medseg": with_medseg, "MONAI": with_monai}


def run_once(name: str, path: Path) -> dict[str, object]:
    """Run a pipeline in this process, warmed up; return its stages' times in s, and peak memory in MiB."""
    times: Timings = {}
    grids: list[tuple[int, ...]] = []
    peaks_mib: list[float] = []

    @contextmanager
    def timed(stage: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        times[stage] = time.perf_counter() - start

    def scores_of(image: torch.Tensor) -> torch.Tensor:
        grids.append(tuple(image.shape[1:]))
        peaks_mib.append(peak_mib())
        scores = blob_scores(grids[-1], np.asarray(image.affine), extent_mm)
        Path("/proc/self/clear_refs").write_text("5")  # what making them took is no part of either
        return scores

    for of in (path.with_name("small.nii.gz"), path):
        header = nibabel.load(of)
        extent_mm = np.abs(header.affine[:3, :3]) @ (np.array(header.shape) - 1)
        output = of.with_name(of.name.replace(".", "_medseg.", 1))
        PIPELINES[name](of, output, timed, scores_of)
    return {"times_s": times, "peak_mib": max(*peaks_mib, peak_mib()), "grid": grids[-1]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shape", type=int, nargs=3, default=(512, 512, 300))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument(
        "--ct", type=Path, help="a CT to take instead of the made one; results are written beside it"
    )
    parser.add_argument("--once", choices=PIPELINES, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.once:
        warnings.simplefilter("ignore")
        logging.disable()
        print("\n" + json.dumps(run_once(arguments.once, arguments.ct)))
        return
    with tempfile.TemporaryDirectory() as folder:
        path = arguments.ct or Path(folder) / "ct.nii.gz"
        if arguments.ct is None:
            write_ct(path, tuple(arguments.shape))
        write_ct(path.with_name("small.nii.gz"), (64, 64, 32))
        runs: dict[str, list] = {name: [] for name in PIPELINES}
        for _ in range(arguments.repeats):
            for name in PIPELINES:
                command = [sys.executable, __file__, "--once", name, "--ct", str(path)]
                printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
                runs[name].append(json.loads(printed.splitlines()[-1]))
        ours, theirs = (
            nibabel.load(path.with_name(path.name.replace(".", f"_{name}.", 1))) for name in ("medseg", "monai")
        )
        differ = np.asarray(ours.dataobj) != np.asarray(theirs.dataobj)
        report(path, runs, differ)


def write_ct(path: Path, shape: tuple[int, ...]) -> None:
    volume = ct_like(shape)
    rng = np.random.default_rng(1)
    for k in range(shape[2]):
        volume[:, :, k] += rng.normal(0, NOISE_HU, shape[:2]).astype(np.int16)
    affine = np.diag([-0.8, -0.8, 1.0, 1.0])
    affine[:2, 3] = 0.8 * (np.array(shape[:2]) - 1)
    path.write_bytes(gzip.compress(nibabel.Nifti1Image(volume, affine).to_bytes(), 6))


def report(path: Path, runs: dict[str, list], differ: np.ndarray) -> None:
    shape = " × ".join(map(str, nibabel.load(path).shape))
    grid = " × ".join(map(str, runs["medseg"][0]["grid"]))
    print(
        f"{shape} int16, a .nii.gz of {path.stat().st_size / 1e6:.0f} MB, to {grid} at 1.5 mm and 3 classes; "
        f"{machine('torch', 'numpy', 'monai', 'nibabel', 'isal')}; medians of {len(runs['medseg'])} turns.\n"
    )
    print("| step | medseg, s | MONAI, s | times as fast |\n|---|---:|---:|---:|")
    stages = [*runs["medseg"][0]["times_s"], "all"]
    for run in (run for of_one in runs.values() for run in of_one):
        run["times_s"]["all"] = sum(run["times_s"].values())
    for stage in stages:
        ours, theirs = (median(run["times_s"][stage] for run in runs[name]) for name in PIPELINES)
        print(f"| {stage} | {ours:.3f} | {theirs:.3f} | {theirs / ours:.1f} |")
    ours, theirs = (median(run["peak_mib"] for run in runs[name]) for name in PIPELINES)
    print(f"| peak memory, MiB | {ours:.0f} | {theirs:.0f} | |")
    print(
        f"\nOf the peaks {12 * np.prod(runs['medseg'][0]['grid']) / 2**20:.0f} MiB are the scores. The label maps "
        f"differ in {differ.sum()} of {differ.size} voxels."
    )


if __name__ == "__main__":
    main()
