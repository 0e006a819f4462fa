"""118 classes on a CT of 512×512×600: the peak, beside what was predicted and what whole tensors would take.

    python benchmarks/predict_memory.py

Runs the UNet 16–256 with 118 output classes through `medseg.infer.label_image` on the network's grid of
1.5 mm of a volume of 0.8×0.8×1 mm, in this process, and compares its largest size (``VmHWM``, which counts
everything, Python and torch too) with `memory` in the facts. `--window` and `--overlap` change the work alone.
The page docs/benchmarks/predict_memory.md has the figures.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch
from common import machine, peak_mib
from monai.data import MetaTensor
from monai.networks.nets import UNet

from medseg.infer.inferers import window_inferer
from medseg.infer.segmentation import label_image

SPACING_MM, GRID_MM = np.array([0.8, 0.8, 1.0]), 1.5


def image_of(native_shape: list[int]) -> MetaTensor:
    """Return blobs on the network's grid, as preprocessing leaves them: values about 0, air of one value."""
    grid = [round((n - 1) * mm / GRID_MM) + 1 for n, mm in zip(native_shape, SPACING_MM, strict=True)]
    torch.manual_seed(0)
    coarse = torch.randn(1, 1, *(max(n // 16, 2) for n in grid))
    voxels = torch.nn.functional.interpolate(coarse, grid, mode="trilinear")[0]
    meta = {"spatial_shape": native_shape, "original_affine": np.diag([*SPACING_MM, 1.0])}
    return MetaTensor(voxels, affine=torch.diag(torch.tensor([GRID_MM] * 3 + [1.0])).double(), meta=meta)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--classes", type=int, default=118)
    parser.add_argument("--shape", type=int, nargs=3, default=[512, 512, 600])
    parser.add_argument("--window", type=int, default=96)
    parser.add_argument("--overlap", type=float, default=0.5)
    parser.add_argument("--adapt", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--budget-mib", type=float, default=0)
    arguments = parser.parse_args()
    torch.manual_seed(0)
    network = UNet(
        3, 1, arguments.classes, (16, 32, 64, 128, 256), (2, 2, 2, 2), num_res_units=2, norm="batch"
    ).eval()
    inferer = window_inferer(patch_size=[arguments.window] * 3, overlap=arguments.overlap, adapt=arguments.adapt)
    image = image_of(arguments.shape)
    before, start_s = peak_mib(), time.perf_counter()
    done = label_image(image, network, inferer, budget_mib=arguments.budget_mib)
    elapsed_s = time.perf_counter() - start_s
    peak, predicted = peak_mib(), done.memory.predicted_mib
    grid = "×".join(map(str, image.shape[1:]))
    whole_gib = arguments.classes * image.shape[1:].numel() * np.array([4, 2]) / 2**30
    native_gib = arguments.classes * np.prod(arguments.shape) * 4 / 2**30
    print(f"{machine('medseg', 'torch')}, {torch.get_num_threads()} threads; {done.memory.way}")
    print(f"{arguments.classes} classes, native {'×'.join(map(str, arguments.shape))}, network's grid {grid}")
    print(f"before {before:.0f} MiB; peak {peak:.0f} MiB; predicted {predicted} MiB ({peak / predicted - 1:+.1%})")
    print(f"whole tensor on the network's grid: {whole_gib[0]:.1f} GiB (float16 {whole_gib[1]:.1f})")
    print(f"on the native grid: {native_gib:.1f} GiB")
    print(f"{elapsed_s:.0f} s; {len(np.unique(done.labels))} labels found")


if __name__ == "__main__":
    main()
