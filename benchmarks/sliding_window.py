"""Logits to labels of 256×256×128 voxels by sliding window: medseg, MONAI and nnU-Net on the same network.

    python benchmarks/sliding_window.py --classes 3 --classes 30

The network is MONAI's UNet 16–256 with batch norm. "Same windows" are 96³ with an overlap of 0.5 and Gaussian
blending; "own default" is what `medseg.infer.window_inferer` chooses for that patch size. "Network alone" is the
network of each run over as many windows, without anything around it. nnU-Net takes part where it is installed
(`pip install nnunetv2`). The page docs/benchmarks/sliding_window.md has the figures.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable

import numpy as np
import torch
from common import machine, medians
from monai.inferers import sliding_window_inference
from monai.networks.nets import UNet

from medseg.infer.copies import fused
from medseg.infer.inferers import SlidingWindowInferer, window_inferer
from medseg.infer.native import NativeLabels

SHAPE, WINDOW, OVERLAP = (256, 256, 128), (96, 96, 96), 0.5
N_WINDOWS = 5 * 5 * 2
FEATURES = (16, 32, 64, 128, 256)


def trained_like(classes: int) -> UNet:
    """Return the network with batch statistics that are not 0 and 1, as training leaves them."""
    torch.manual_seed(0)
    network = UNet(3, 1, classes, FEATURES, (2, 2, 2, 2), num_res_units=2, norm="batch")
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm3d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    return network.eval()


def medseg_labels(
    image: torch.Tensor, network: UNet, inferer: SlidingWindowInferer, device: str = "cpu"
) -> np.ndarray:
    """Return labels as `medseg.infer.segmentation` makes them, on a grid that is the native one."""
    inferer.sw_device = device
    grid = {"grid_shape": SHAPE, "grid_affine": np.eye(4), "native_shape": SHAPE, "native_affine": np.eye(4)}
    native = NativeLabels(axis=0, **grid)
    for slab in inferer.slabs(image, network, keep_on=device):
        native.add(slab)
    return native.finish()


def monai_labels(
    image: torch.Tensor, network: UNet, bfloat16: bool, device: str = "cpu", batch_size: int = 1
) -> np.ndarray:
    kind = torch.device(device).type
    with torch.inference_mode(), torch.autocast(kind, dtype=torch.bfloat16, enabled=bfloat16):
        scores = sliding_window_inference(image[None].to(device), WINDOW, batch_size, network, OVERLAP, "gaussian")
    return scores[0].argmax(dim=0).to(torch.uint8).cpu().numpy()


def nnunet_predictor(
    network: UNet, classes: int, device: str = "cpu"
) -> Callable[[torch.Tensor], np.ndarray] | None:
    """Return nnU-Net's own predictor around the network, without test-time mirroring; None where it is missing."""
    os.environ.setdefault("nnUNet_def_n_proc", "1")
    for name in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"):
        os.environ.setdefault(name, os.devnull)
    try:
        from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
    except ImportError:
        return None
    settings = {"tile_step_size": 1 - OVERLAP, "use_gaussian": True, "use_mirroring": False}
    where = {"device": torch.device(device), "perform_everything_on_device": device != "cpu"}
    predictor = nnUNetPredictor(**settings, **where, verbose=False, allow_tqdm=False)
    predictor.network, predictor.allowed_mirroring_axes = network, None
    predictor.configuration_manager = type("Configuration", (), {"patch_size": WINDOW})()
    segmentation_heads = {"num_segmentation_heads": classes}
    predictor.label_manager = type("Labels", (), segmentation_heads)()

    def labels(image: torch.Tensor) -> np.ndarray:
        scores = predictor.predict_sliding_window_return_logits(image)
        return scores.argmax(dim=0).to(torch.uint8).cpu().numpy()

    return labels


def network_alone(
    network: UNet, dtype: torch.dtype, device: str = "cpu", batch_size: int = 1
) -> Callable[[], None]:
    ready = fused(network, torch.device(device), dtype)
    windows = torch.randn(batch_size, 1, *WINDOW).to(device, dtype)

    @torch.inference_mode()
    def run() -> None:
        for _ in range(0, N_WINDOWS, batch_size):
            ready(windows)
        if device != "cpu":
            torch.cuda.synchronize()

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--classes", type=int, action="append")
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    image = torch.randn(1, *SHAPE, generator=torch.Generator().manual_seed(0))
    print(f"{machine('medseg', 'torch', 'monai', 'nnunetv2')}; {torch.get_num_threads()} threads")
    for classes in arguments.classes or (3, 30):
        network = trained_like(classes)
        same = SlidingWindowInferer(WINDOW, 1, OVERLAP, "gaussian")
        own = window_inferer(patch_size=WINDOW)
        nnunet = nnunet_predictor(network, classes)
        runs: dict[str, Callable[[], object]] = {
            "medseg, own default": lambda: medseg_labels(image, network, own),  # noqa: B023
            "medseg, same windows": lambda: medseg_labels(image, network, same),  # noqa: B023
            "network alone, bfloat16, fused": network_alone(network, torch.bfloat16),
            "MONAI, bfloat16 autocast": lambda: monai_labels(image, network, True),  # noqa: B023
            "MONAI, float32": lambda: monai_labels(image, network, False),  # noqa: B023
        }
        if nnunet is not None:
            runs["nnU-Net's predictor"] = lambda: nnunet(image)  # noqa: B023
        seconds = medians(runs, arguments.repeats)
        print(f"\n\n{classes} classes; median of {arguments.repeats}\n")
        print("| run | s | of the own default | of the same windows |\n|---|---|---|---|")
        for name, value in seconds.items():
            ratios = [value / seconds[f"medseg, {kind}"] for kind in ("own default", "same windows")]
            print(f"| {name} | {value:.2f} | {ratios[0]:.1f}× | {ratios[1]:.1f}× |")
        reference = monai_labels(image, network, False)
        for name in ("own default", "same windows"):
            agreement = (runs[f"medseg, {name}"]() == reference).mean()
            print(f"voxels of {name} that agree with MONAI's in float32: {agreement:.4f}")


if __name__ == "__main__":
    main()
