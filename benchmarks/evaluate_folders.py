"""Evaluating a folder of a thousand cases: ``python benchmarks/evaluate_folders.py``.

Makes pairs of label maps and images the size of the Decathlon's hippocampus (35×50×36, ``.nii.gz``) from its
cases, or from ellipsoids where they are not there, and runs each tool on them as a process of its own, start-up
included: medseg's command; the same without its report; what nnU-Net's ``nnUNetv2_evaluate_simple`` runs; a loop
over MONAI's metrics. A peer that is not installed is left out.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from itertools import count
from pathlib import Path

import nibabel
import numpy as np
from common import DATA, machine, medians

SHAPE = (35, 50, 36)
COMMAND = "from medseg.cli import main; import sys; sys.argv[1:] = ['evaluate', *sys.argv[1:]]; main()"
WITHOUT_REPORT = f"import medseg.evaluation.files as e; e.write_report = lambda *_, **__: None; {COMMAND}"
NNUNET = """
import sys
from nnunetv2.evaluation.evaluate_predictions import compute_metrics_on_folder_simple
if __name__ == "__main__":
    predictions, data, output = sys.argv[1:]
    compute_metrics_on_folder_simple(data + "/labels", predictions, (1, 2), output + ".json", num_processes=2)
"""
MONAI = """
import sys
from pathlib import Path
import torch
from monai.metrics import DiceMetric, HausdorffDistanceMetric, SurfaceDiceMetric
from monai.networks.utils import one_hot
from monai.transforms import LoadImage
load = LoadImage(image_only=True, ensure_channel_first=True)
dice, hd95 = DiceMetric(include_background=False), HausdorffDistanceMetric(include_background=False, percentile=95)
nsd = SurfaceDiceMetric(class_thresholds=[1.0, 1.0])
predictions, data, _ = map(Path, sys.argv[1:])
for path in sorted(predictions.glob("*.nii.gz")):
    maps = [load(p) for p in (path, data / "labels" / path.name)]
    pair = [one_hot(m.as_tensor()[None].long(), 3) for m in maps]
    spacing = maps[1].pixdim.tolist()
    dice(*pair), hd95(*pair, spacing=spacing), nsd(*pair, spacing=spacing)
print(dice.aggregate(), hd95.aggregate(), nsd.aggregate())
"""


def write_pair(folder: Path, sources: list[Path], number: int) -> None:
    """Write the case of this number: image, label, and a prediction that is shifted, eaten away and speckled."""
    rng = np.random.default_rng(number)
    if sources:
        label = nibabel.load(sources[number % len(sources)])
        image = nibabel.load(
            sources[number % len(sources)].parents[1] / "imagesTr" / label.get_filename().split("/")[-1]
        )
        labels, voxels, affine = (
            np.asarray(label.dataobj).astype(np.uint8),
            np.asarray(image.dataobj),
            label.affine,
        )
    else:
        places = np.stack(np.meshgrid(*(np.linspace(-1, 1, n) for n in SHAPE), indexing="ij"))
        radius = (places**2 / rng.uniform(0.1, 0.4, (3, 1, 1, 1))).sum(axis=0)
        labels = np.where(radius < 1, np.where(places[1] < 0, 1, 2), 0).astype(np.uint8)
        voxels, affine = (100 * labels + rng.normal(300, 30, SHAPE)).astype(np.float32), np.eye(4)
    predicted = np.roll(labels, rng.integers(-1, 2), axis=rng.integers(0, 3))
    wrong = rng.random(labels.shape) < 0.002
    predicted[wrong] = rng.integers(0, 3, wrong.sum())
    for name, array in (("predictions", predicted), ("data/labels", labels), ("data/images", voxels)):
        nibabel.save(nibabel.Nifti1Image(array, affine), folder / name / f"case_{number:04d}.nii.gz")


def run(folder: Path, name: str, script: str, turns: Iterator[int]) -> None:
    """Run a tool as a process of its own, to a new folder each time."""
    script_file = folder / "script.py"
    script_file.write_text(script)
    arguments = [folder / "predictions", folder / "data", folder / f"out {next(turns)} {name}"]
    done = subprocess.run([sys.executable, script_file, *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{name} failed:\n{done.stderr}")


def compare_dice(folder: Path) -> None:
    """Print how far the mean Dice of medseg and nnU-Net lie apart, where both were run."""
    summaries = sorted(folder.glob("out 0 medseg*/summary.json"))
    for path in folder.glob("out 0 nnU-Net*.json"):
        theirs, ours = json.loads(path.read_text())["mean"], json.loads(summaries[0].read_text())["labels"]
        apart = max(abs(theirs[i]["Dice"] - ours[i]["dice"]["mean"]) for i in ours)
        print(f"Mean Dice of medseg and nnU-Net lie at most {apart:.1g} apart.\n")


def main() -> None:
    """Make the cases, let the tools take turns and print their seconds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=1000)
    parser.add_argument("--turns", type=int, default=3)
    given = parser.parse_args()
    sources = sorted((DATA / "Task04_Hippocampus" / "labelsTr").glob("*.nii.gz"))
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for name in ("predictions", "data/images", "data/labels"):
            (folder / name).mkdir(parents=True)
        with ProcessPoolExecutor() as pool:
            list(pool.map(partial(write_pair, folder, sources), range(given.cases), chunksize=50))
        tools = {f"medseg {version('medseg')}": COMMAND, "medseg, without its report": WITHOUT_REPORT}
        for package, name, script in (("nnunetv2", "nnU-Net", NNUNET), ("monai", "MONAI", MONAI)):
            try:
                tools[f"{name} {version(package)}"] = script
            except PackageNotFoundError:
                print(f"{name} is not installed here, and left out", file=sys.stderr)
        runs = {name: partial(run, folder, name, script, count()) for name, script in tools.items()}
        seconds = medians(runs, given.turns, warm_ups=0)
        compare_dice(folder)
        source = "the Decathlon's hippocampus" if sources else "ellipsoids"
        print(
            f"{given.cases} cases from {source}; {machine()}; medians of {given.turns} turns.\n\n"
            "| tool | s | ms a case |\n|---|---:|---:|"
        )
        for name, taken in seconds.items():
            print(f"| {name} | {taken:.1f} | {1000 * taken / given.cases:.1f} |")


if __name__ == "__main__":
    main()
