"""Logits to labels on a GPU: medseg, MONAI under AMP and nnU-Net on the same network, windows and overlap.

    python benchmarks/gpu_predict.py --classes 3 --classes 30

As benchmarks/sliding_window.py, with the image in the host's memory at the start and the labels there at the end.
`--device cpu` runs the same lines without a GPU, which shows that they run and nothing about a GPU.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import torch
from common import machine, medians
from sliding_window import (
    OVERLAP,
    SHAPE,
    WINDOW,
    medseg_labels,
    monai_labels,
    network_alone,
    nnunet_predictor,
    trained_like,
)

from medseg.infer.inferers import SlidingWindowInferer, window_inferer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--classes", type=int, action="append")
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--device", default="cuda")
    arguments = parser.parse_args()
    device, batch = arguments.device, arguments.batch_size
    name = torch.cuda.get_device_name() if device != "cpu" else "CPU"
    print(f"{name}; {machine('medseg', 'torch', 'monai', 'nnunetv2')}; {batch} windows at once")
    image = torch.randn(1, *SHAPE, generator=torch.Generator().manual_seed(0))
    for classes in arguments.classes or (3, 30):
        network = trained_like(classes).to(device)
        same = SlidingWindowInferer(WINDOW, batch, OVERLAP, "gaussian")
        own = window_inferer(patch_size=WINDOW, batch_size=batch)
        nnunet = nnunet_predictor(network, classes, device)
        runs: dict[str, Callable[[], object]] = {
            "medseg, own default": lambda: medseg_labels(image, network, own, device),  # noqa: B023
            "medseg, same windows": lambda: medseg_labels(image, network, same, device),  # noqa: B023
            "network alone": network_alone(network, torch.bfloat16, device, batch),
            "MONAI, AMP": lambda: monai_labels(image, network, True, device, batch),  # noqa: B023
        }
        if nnunet is not None:
            runs["nnU-Net's predictor"] = lambda: nnunet(image)  # noqa: B023
        seconds = medians(runs, arguments.repeats)
        print(f"\n{classes} classes; median of {arguments.repeats}\n")
        print("| run | s | of the same windows |\n|---|---|---|")
        for run, value in seconds.items():
            print(f"| {run} | {value:.3f} | {value / seconds['medseg, same windows']:.1f}× |")
        print(f"outside the network: {1 - seconds['network alone'] / seconds['medseg, same windows']:.0%}")


if __name__ == "__main__":
    main()
