"""What each piece of the inferer's fast path is worth on the shipped bundles.

    THP_MEM_ALLOC_ENABLE=1 OMP_WAIT_POLICY=PASSIVE python benchmarks/fast_path.py

Each bundle's own inferer walks an image that its own preprocessing made, with all pieces and with one switched
off: the transposed convolution as a plain one (`medseg.infer.subpixel`), and windows adapted to the volume. The
variants take turns. Only the walk is timed, not how the copy is made. A bundle without weights gets random ones,
and its batch norm the statistics of six patches. A piece stays in medseg where it gains 10 % on a bundle.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from functools import partial
from pathlib import Path

import numpy as np
import torch
from common import BUNDLES, DATA, machine, medians

from medseg.bundle import load_weights
from medseg.infer import SlidingWindowInferer, channels_last, copies, window_inferer
from medseg.infer.device import dtype_of
from medseg.infer.memory_plans import slab_axis
from medseg.networks import unet
from medseg.preprocess import IMAGE, preprocessing

OFF = ("nothing", "subpixel", "adapt")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ct", type=Path, default=DATA / "ct" / "torso_3mm.nii.gz")
    parser.add_argument("--mr", type=Path, default=DATA / "Task04_Hippocampus" / "imagesTr")
    parser.add_argument("--images", type=int, default=10, help="MR crops a bundle walks in one turn")
    parser.add_argument("--turns", type=int, default=11)
    arguments = parser.parse_args()
    print(f"{machine('torch', 'monai')}, {torch.get_num_threads()} threads; medians of {arguments.turns} turns\n")
    print("| bundle | precision | switched off | s | gain of the piece | voxels with the same label |")
    print("|---|---|---|---|---|---|")
    for bundle in sorted(BUNDLES.iterdir()):
        numbers = json.loads((bundle / "configs" / "metadata.json").read_text())["medseg"]
        ct = numbers["preprocessing"]["intensity"]["kind"] == "ct"
        paths = [arguments.ct] if ct else sorted(arguments.mr.glob("*.nii.gz"))[: arguments.images]
        steps = preprocessing(patch_size=numbers["patch_size"], **numbers["preprocessing"])
        images = [steps({IMAGE: str(path)})[IMAGE].as_tensor() for path in paths]
        network = load(bundle, numbers, images[0])
        for precision in ("auto", "float32"):
            report(bundle.name, network, numbers, images, precision, arguments.turns)


def load(bundle: Path, numbers: dict, example: torch.Tensor) -> torch.nn.Module:
    """Return a bundle's network; without weights, a random one that has seen patches of `example`."""
    torch.manual_seed(0)
    network = unet(patch_size=numbers["patch_size"], **numbers["network"])
    weights = bundle / "models" / "model.pt"
    if weights.is_file():
        return channels_last(load_weights(network, weights))
    rng, size = np.random.default_rng(0), numbers["patch_size"]
    with torch.no_grad():
        for _ in range(6):
            low = [int(rng.integers(0, n - s + 1)) for n, s in zip(example.shape[1:], size, strict=True)]
            patch = example[(slice(None), *(slice(a, a + s) for a, s in zip(low, size, strict=True)))]
            network.train()(patch[None])
    return channels_last(network).eval()


def report(
    name: str, network: torch.nn.Module, numbers: dict, images: list[torch.Tensor], precision: str, turns: int
) -> None:
    """Print a row for each piece that is switched off."""
    walks, labels = {}, {}
    for off in OFF:
        inference = {**numbers["inference"], "adapt": off != "adapt", "precision": precision}
        inferer = window_inferer(patch_size=numbers["patch_size"], **inference)
        copy = deepcopy(network)  # each has its own place among the fused copies
        with without_subpixels(off == "subpixel"):  # its copy is made and checked here
            labels[off] = labels_of(inferer, copy, images)
        walks[off] = partial(walk, inferer, copy, images)
    seconds = medians(walks, turns, warm_ups=2)
    dtype = str(dtype_of(precision, "cpu")).removeprefix("torch.")
    for off in OFF:
        same = np.mean([np.mean(a == b) for a, b in zip(labels[off], labels["nothing"], strict=True)])
        gain = "" if off == "nothing" else f"{100 * (seconds[off] / seconds['nothing'] - 1):+.0f} %"
        print(f"| {name} | {dtype} | {off} | {seconds[off]:.3f} | {gain} | {same:.5f} |", flush=True)


def walk(inferer: SlidingWindowInferer, network: torch.nn.Module, images: list[torch.Tensor]) -> None:
    """Let the scores of each image come slab by slab."""
    for image in images:
        for _ in inferer.slabs(image, network, axis=slab_axis(image.shape[1:]), keep_on="cpu"):
            pass


def labels_of(
    inferer: SlidingWindowInferer, network: torch.nn.Module, images: list[torch.Tensor]
) -> list[np.ndarray]:
    """Return the labels of each image on the network's grid."""
    found = []
    for image in images:
        axis = slab_axis(image.shape[1:])
        slabs = inferer.slabs(image, network, axis=axis, keep_on="cpu")
        found.append(np.concatenate([slab.argmax(dim=0).numpy() for slab in slabs], axis=axis))
    return found


@contextmanager
def without_subpixels(off: bool) -> Iterator[None]:
    """Leave transposed convolutions as they are while copies of a network are made."""
    kept = copies.use_subpixels
    copies.use_subpixels = (lambda _: None) if off else kept
    try:
        yield
    finally:
        copies.use_subpixels = kept


if __name__ == "__main__":
    main()
