"""A CT from file to labels, all but the network's forward, beside MONAI: ``python benchmarks/predict_whole.py``.

A CT-like volume lies in a temporary folder as .nii.gz. Each pipeline reads it, prepares it as the spleen bundle
does (RAS, 1.5 mm, cropped to the body, windowed), runs windows of 96³ with an overlap of a half, takes the blended
scores to the file's own grid, gives each voxel its best class, says how sure the network was of each label and how
many components it has, keeps the largest of each and writes a .nii.gz. medseg does it by `predict_cases`, with
record, hashes and checks of memory. The network is a stand-in that looks its scores up by the place of the
window: most voxels are foreground, with islands. The time it takes is left out. The pipelines take turns, each
time in a process of its own, which has done it before. MONAI needs `pip install scikit-image` in addition.
"""

from __future__ import annotations

import argparse
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
from around_network import medseg_preprocessing, monai_save, monai_transforms, places, write_ct
from common import BUNDLES, machine, peak_mib

ROI, OVERLAP = (96, 96, 96), 0.5
# Centres and radii, in shares of the volume: most voxels are foreground
STRUCTURES = (
    ((0.5, 0.5, 0.5), (0.5, 0.45, 0.8)),
    ((0.35, 0.45, 0.5), (0.2, 0.25, 0.4)),
    ((0.65, 0.55, 0.55), (0.12, 0.18, 0.3)),
    ((0.5, 0.7, 0.4), (0.07, 0.07, 0.6)),
)
LABELS = range(1, len(STRUCTURES) + 1)
LABELLING = "confidence, scores to native labels"  # at the same time
Timed = Callable[[str], Any]


class Lookup(torch.nn.Module):
    """In a network's place: the scores of a window, found by its first voxel's value, which is its place.

    Its copies share `known`, the scores, and `seconds`, the time it took: the network's, not timed here.
    """

    def __init__(self) -> None:
        super().__init__()
        self.known: dict[str, torch.Tensor] = {}
        self.seconds = [0.0]
        self.parameter = torch.nn.Parameter(torch.zeros(1), requires_grad=False)  # a network has some

    def __deepcopy__(self, memo: object) -> Lookup:
        other = Lookup()
        other.known, other.seconds = self.known, self.seconds
        return other

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        start_s, scores = time.perf_counter(), self.known["scores"]
        found = []
        for window in windows[:, 0]:
            first = np.unravel_index(round(float(window[0, 0, 0])), scores.shape[1:])
            box = tuple(slice(n, n + size) for n, size in zip(first, window.shape, strict=True))
            found.append(scores[(slice(None), *box)])
        result = torch.stack(found).contiguous(memory_format=torch.channels_last_3d)
        self.seconds[0] += time.perf_counter() - start_s
        return result

    def show(self, image: torch.Tensor, extent_mm: np.ndarray) -> None:
        """Make the scores of an image (1, I, J, K), unless they are there, and turn its voxels into places."""
        start_s = time.perf_counter()
        if "scores" not in self.known or self.known["scores"].shape[1:] != image.shape[1:]:
            scores = blob_scores(image.shape[1:], np.asarray(image.affine), extent_mm)
            self.known["scores"] = scores.permute(1, 2, 3, 0).contiguous().permute(3, 0, 1, 2)
        places = torch.arange(image.numel(), dtype=torch.float32)  # exact up to 2^24 voxels
        image.as_tensor().copy_(places.view(image.shape))
        self.seconds[0] += time.perf_counter() - start_s


def blob_scores(grid_shape: tuple[int, ...], grid_affine: np.ndarray, extent_mm: np.ndarray) -> torch.Tensor:
    """Return scores (labels, I, J, K) as a trained network gives them: smooth, with large regions of one class.

    They are a function of the place in the patient alone, so that they fit whichever grid is asked for.
    """
    x, y, z = places(grid_shape, grid_affine, extent_mm)
    wobble = torch.sin(60 * x) * torch.sin(50 * y) * torch.sin(40 * z)
    scores = torch.zeros(1 + len(STRUCTURES), *grid_shape)
    for label, (centre, radii) in enumerate(STRUCTURES, 1):
        squared = sum(((w - c) / r) ** 2 for w, c, r in zip((x, y, z), centre, radii, strict=True))
        scores[label] = 8 * (1 - squared.sqrt() + 0.15 * label * wobble) + (label - 1)
    return scores.clamp_(-12, 12)


class WithMedseg:
    """`predict_cases`; the stages of `infer` are timed by their methods."""

    def __init__(self) -> None:
        from medseg.infer import to_native_labels, window_inferer
        from medseg.prediction import Pipeline

        self.network = Lookup()
        inferer = window_inferer(patch_size=ROI, overlap=OVERLAP, precision="float32", adapt=False)
        labels = to_native_labels(largest_component=LABELS)
        self.pipeline = Pipeline(medseg_preprocessing(), self.network, inferer, labels)

    def __call__(self, path: Path, output: Path, extent_mm: np.ndarray) -> dict[str, float]:
        from medseg.bundle import read_metadata
        from medseg.infer import segmentation
        from medseg.prediction import case, predict_cases
        from medseg.prediction.origin import Origin

        times: dict[str, float] = {}
        timed_method(times, segmentation, "_take", LABELLING)
        timed_method(
            times, case, "infer", "infer", before=lambda data: self.network.show(data["image"], extent_mm)
        )
        origin = Origin(read_metadata(BUNDLES / "spleen_ct_unet3d"), "", ("",), "")
        (record,) = predict_cases(
            [{"id": output.name.removesuffix(".nii.gz"), "image": str(path)}],
            output.parent,
            pipeline=self.pipeline,
            origin=origin,
        )
        assert record["status"] == "done", record
        stages = record["timings_s"]
        within = times.pop("infer")
        blending = within - times[LABELLING] - self.network.seconds[0]
        return {
            "read": stages["read"],
            "preprocess": stages["preprocess"],
            "windows and blending": blending,
            **times,
            "components, largest component": stages["postprocess"],
            "write": stages["write"],
        }


class WithMonai:
    def __init__(self) -> None:
        self.network = Lookup()

    def __call__(self, path: Path, output: Path, extent_mm: np.ndarray) -> dict[str, float]:
        times: dict[str, float] = {}

        @contextmanager
        def timed(stage: str) -> Iterator[None]:
            start_s, network_s = time.perf_counter(), self.network.seconds[0]
            yield
            took_s = time.perf_counter() - start_s - (self.network.seconds[0] - network_s)
            times[stage] = times.get(stage, 0.0) + took_s

        run_monai(path, output, timed, self.network, extent_mm)
        return times


def timed_method(times: dict[str, float], owner: Any, name: str, stage: str, before: Any = None) -> None:
    """Add the time that each call of `owner.name` takes to ``times[stage]``."""
    method = getattr(getattr(owner, name), "untimed", getattr(owner, name))

    def run(*args: Any, **kwargs: Any) -> Any:
        start_s = time.perf_counter()
        if before is not None:
            before(args[0])
        result = method(*args, **kwargs)
        times[stage] = times.get(stage, 0.0) + time.perf_counter() - start_s
        return result

    run.untimed = method
    setattr(owner, name, run)


def run_monai(path: Path, output: Path, timed: Timed, network: Lookup, extent_mm: np.ndarray) -> None:
    from monai.data import MetaTensor
    from monai.inferers import SlidingWindowInferer
    from monai.transforms import AsDiscreted, Compose, Invertd, KeepLargestConnectedComponentd
    from scipy import ndimage

    load, prepare = monai_transforms()
    with timed("read"):
        data = Compose(load)({"image": str(path)})
    with timed("preprocess"):
        data = Compose(prepare)(data)
    image = data["image"]
    network.show(image, extent_mm)
    inferer = SlidingWindowInferer(ROI, 1, OVERLAP, "gaussian")
    with timed("windows and blending"), torch.inference_mode():
        scores = inferer(image.as_tensor()[None], network)[0]
    with timed(LABELLING):
        p = scores.softmax(dim=0)
        best = p.argmax(dim=0)
        entropy = -torch.special.xlogy(p, p).sum(dim=0)
        for label in LABELS:
            inside = best == label
            print(label, float(p[label][inside].mean()), float(entropy[inside].mean()), file=sys.stderr)
    del p, best, entropy
    data["pred"] = MetaTensor(scores, meta=image.meta, applied_operations=image.applied_operations)
    with timed(LABELLING):
        back = Invertd("pred", Compose([*load, *prepare]), orig_keys="image", nearest_interp=False)
        data = AsDiscreted("pred", argmax=True)(back(data))
    with timed("components, largest component"):
        labels = data["pred"][0].numpy()
        for label in LABELS:
            print(ndimage.label(labels == label, np.ones((3, 3, 3)))[1], file=sys.stderr)
        data = KeepLargestConnectedComponentd("pred", applied_labels=list(LABELS), connectivity=3)(data)
    save = monai_save(output)
    with timed("write"):
        save(data)


PIPELINES = {"medseg": WithMedseg, "MONAI": WithMonai}


def run_once(name: str, path: Path, output: Path) -> dict[str, object]:
    """Run a pipeline in this process, warmed up; return its stages' times in s, and peak memory in MiB."""
    pipeline = PIPELINES[name]()
    times: dict[str, float] = {}
    for of in (path.with_name("small.nii.gz"), path, path):  # the second makes the scores
        header = nibabel.load(of)
        extent_mm = np.abs(header.affine[:3, :3]) @ (np.array(header.shape) - 1)
        with tempfile.TemporaryDirectory(dir=output) as folder:
            pipeline.network.seconds[0] = 0.0
            Path("/proc/self/clear_refs").write_text("5")  # the peak starts again from what is held now
            start_s = time.perf_counter()
            times = pipeline(of, Path(folder, of.name.replace(".", "_medseg.", 1)), extent_mm)
            times["all"] = time.perf_counter() - start_s - pipeline.network.seconds[0]
            for made in Path(folder).glob("*.nii.gz"):
                made.replace(output / made.name)
    scores = pipeline.network.known["scores"]
    return {
        "times_s": times,
        "peak_mib": peak_mib(),
        "scores": tuple(scores.shape),
        "scores_mib": scores.nbytes / 2**20,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", type=int, nargs=3, default=(512, 512, 300))
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--ct", type=Path, help="a CT to take instead of the made one")
    parser.add_argument("--only", choices=PIPELINES, help="one of the two alone")
    parser.add_argument("--once", choices=PIPELINES, help=argparse.SUPPRESS)
    parser.add_argument("--output", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.once:
        warnings.simplefilter("ignore")
        logging.disable()
        print("\n" + json.dumps(run_once(arguments.once, arguments.ct, arguments.output)))
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ct.nii.gz"
        if arguments.ct is None:
            write_ct(path, tuple(arguments.shape))
        else:
            path.symlink_to(arguments.ct.resolve())
        write_ct(path.with_name("small.nii.gz"), (320, 320, 160))  # still larger than a window
        runs: dict[str, list] = {name: [] for name in PIPELINES if arguments.only in (None, name)}
        for _ in range(arguments.turns):
            for name in runs:
                command = [sys.executable, __file__, "--once", name, "--ct", str(path), "--output", folder]
                printed = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
                runs[name].append(json.loads(printed.splitlines()[-1]))
        report(path, runs)


def report(path: Path, runs: dict[str, list]) -> None:
    shape = " × ".join(map(str, nibabel.load(path).shape))
    first = next(iter(runs.values()))[0]
    maps = [np.asarray(nibabel.load(made).dataobj) for made in path.parent.glob(f"{path.name.split('.')[0]}_*")]
    shares = ", ".join(f"{(maps[0] == label).mean():.0%}" for label in LABELS)
    print(
        f"{shape}, a .nii.gz of {path.stat().st_size / 1e6:.0f} MB; "
        f"scores {' × '.join(map(str, first['scores']))}; "
        f"labels of {shares} of the voxels; {machine('torch', 'numpy', 'monai', 'scikit-image', 'isal')}, "
        f"{torch.get_num_threads()} threads; medians (least) of {len(next(iter(runs.values())))} turns.\n"
    )
    print(
        f"| step | {' | '.join(f'{name}, s' for name in runs)} | times as fast |\n|---|{'---:|' * (len(runs) + 1)}"
    )
    for stage in first["times_s"]:
        seconds = [[run["times_s"][stage] for run in of_one] for of_one in runs.values()]
        cells = " | ".join(f"{median(each):.2f} ({min(each):.2f})" for each in seconds)
        print(f"| {stage} | {cells} | {median(seconds[-1]) / median(seconds[0]):.1f} |")
    peaks = " | ".join(f"{median(run['peak_mib'] for run in of_one):.0f}" for of_one in runs.values())
    print(f"| peak memory, MiB, {first['scores_mib']:.0f} of them the stand-in's scores | {peaks} | |")
    if len(maps) == 2:
        print(f"\nThe label maps differ in {(maps[0] != maps[1]).sum()} of {maps[0].size} voxels.")


if __name__ == "__main__":
    main()
