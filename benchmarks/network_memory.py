"""How much a process grows by segmenting with eight of MONAI's networks, beside what was predicted.

    python benchmarks/network_memory.py

Each network and precision has a process of its own: `medseg.infer.label_image` on a made image of 128×96×96 voxels
at 1.5 mm, windows of 96³, 14 classes, random weights. Growth is the peak less the size before.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import torch
from common import machine, peak_mib
from monai.networks import nets
from predict_memory import image_of

from medseg.infer.inferers import window_inferer
from medseg.infer.segmentation import label_image
from medseg.system_memory import MIB, resident_bytes

CLASSES, WINDOW, NATIVE_SHAPE = 14, 96, [240, 180, 144]
NETWORKS: dict[str, Callable[[], torch.nn.Module]] = {
    "UNet, batch norm": lambda: nets.UNet(
        3, 1, CLASSES, (16, 32, 64, 128, 256), (2, 2, 2, 2), num_res_units=2, norm="batch"
    ),
    "UNet, instance norm": lambda: nets.UNet(
        3, 1, CLASSES, (16, 32, 64, 128, 256), (2, 2, 2, 2), num_res_units=2, norm="instance"
    ),
    "BasicUNet": lambda: nets.BasicUNet(3, 1, CLASSES),
    "DynUNet": lambda: nets.DynUNet(3, 1, CLASSES, [3] * 5, [1, 2, 2, 2, 2], [2] * 4, norm_name="instance"),
    "AttentionUnet": lambda: nets.AttentionUnet(3, 1, CLASSES, (16, 32, 64, 128), (2, 2, 2)),
    "SegResNet": lambda: nets.SegResNet(3, 16, 1, CLASSES),
    "VNet": lambda: nets.VNet(3, 1, CLASSES),
    "HighResNet": lambda: nets.HighResNet(3, 1, CLASSES),
}


def growth_mib(name: str, precision: str) -> tuple[float, float]:
    """Return how much this process grows, and how much it was predicted to grow, in MiB."""
    torch.manual_seed(0)
    network = NETWORKS[name]().eval()
    inferer = window_inferer(patch_size=[WINDOW] * 3, overlap=0.25, precision=precision)
    image = image_of(NATIVE_SHAPE)
    before_mib = resident_bytes() / MIB
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts again from what is held now
    predicted_mib = label_image(image, network, inferer).memory.predicted_mib
    assert predicted_mib is not None
    return peak_mib() - before_mib, predicted_mib - before_mib


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", choices=NETWORKS, action="append", help="these alone")
    parser.add_argument("--precision", choices=["bfloat16", "float32"], action="append", help="this alone")
    parser.add_argument("--once", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    names, precisions = arguments.network or NETWORKS, arguments.precision or ["bfloat16", "float32"]
    if arguments.once:
        print(json.dumps(growth_mib(arguments.network[0], arguments.precision[0])))
        return
    print(f"{machine('torch', 'monai')}\n")
    print("| network | precision | growth, MiB | predicted, MiB | growth / predicted |\n|---|---|---:|---:|---:|")
    for precision in precisions:
        for name in names:
            command = [sys.executable, __file__, "--once", "--network", name, "--precision", precision]
            printed = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
            growth, predicted = json.loads(printed.splitlines()[-1])
            print(
                f"| {name} | {precision} | {growth:.0f} | {predicted:.0f} | {growth / predicted:.2f} |", flush=True
            )


if __name__ == "__main__":
    main()
