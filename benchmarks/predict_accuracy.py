"""The engine's labels beside MONAI's, and its defaults beside an overlap of 0.5, on the shipped bundles.

    python benchmarks/predict_accuracy.py --data ../shared/data/Task04_Hippocampus

For every labelled case and every bundle that has weights and fits its modality: the Dice of each label between
`medseg.infer.label_image` and MONAI's float32 `sliding_window_inference` of the same windows and overlap
(both go to the native grid the same way), whether a second run gives the same bytes, and the mean Dice against the
reference labels of the bundle's defaults and of an overlap of 0.5 in trained windows. The page
docs/benchmarks/predict_accuracy.md has the figures.
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path

import numpy as np
import torch
from common import BUNDLES, machine
from monai.inferers import SliceInferer
from monai.inferers import SlidingWindowInferer as MonaiInferer

from medseg.bundle.metadata import read_metadata
from medseg.cases.find import find_cases
from medseg.infer.inferers import window_inferer
from medseg.infer.native import native_labels
from medseg.infer.segmentation import label_image
from medseg.metrics.comparison import compare
from medseg.prediction.case import preprocess
from medseg.prediction.model import open_model
from medseg.preprocess.keys import IMAGE
from medseg.read.study import read_volume


def monai_labels(image, network: torch.nn.Module, numbers: dict) -> np.ndarray:
    """Return labels on the native grid from MONAI's own inferer in float32."""
    settings = {"sw_batch_size": numbers["inference"]["batch_size"], "overlap": 0.5, "mode": "gaussian"}
    size = numbers["patch_size"]
    inferer = (
        MonaiInferer(size, **settings)
        if len(size) == 3
        else SliceInferer(spatial_dim=2, roi_size=size, **settings)
    )
    with torch.inference_mode():
        scores = inferer(image.as_tensor()[None], network)[0]
    native = native_labels(image, axis=0)
    native.add(scores)
    return native.finish()


def dice(prediction: np.ndarray, reference: np.ndarray, labels: list[int]) -> list[float]:
    spacing_mm = (1.0, 1.0, 1.0)  # Dice does not depend on it
    values = compare(prediction, reference, spacing_mm=spacing_mm, labels=labels, metrics=("dice",))
    return [values[label]["dice"] for label in labels]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cases", type=int, default=0, help="Only the first so many; 0 for all.")
    arguments = parser.parse_args()
    cases = find_cases(arguments.data, labelled=True)[: arguments.cases or None]
    print(f"{machine('medseg', 'torch', 'monai')}\n")
    print(
        "| bundle | cases | Dice with MONAI float32, mean of each label | lowest case | same bytes again | ",
        end="",
    )
    print("Dice with the reference: defaults | overlap 0.5, trained windows |\n|---|---|---|---|---|---|---|")
    for bundle in sorted(BUNDLES.iterdir()):
        if not (bundle / "models" / "model.pt").is_file():
            continue
        metadata = read_metadata(bundle)
        numbers = metadata.values["medseg"]
        labels = list(range(1, numbers["network"]["labels"]))
        model = open_model(bundle, device="cpu")
        half = window_inferer(patch_size=numbers["patch_size"], overlap=0.5, adapt=False)
        agreement, same, ours, at_half = [], True, [], []
        for case in cases:
            reference = read_volume(case["label"]).array
            image = preprocess(read_volume(case["image"]), model.pipeline.preprocessing)[IMAGE]
            found = label_image(image, model.pipeline.network, model.pipeline.inferer).labels
            same &= np.array_equal(
                found, label_image(image, model.pipeline.network, model.pipeline.inferer).labels
            )
            agreement += dice(found, monai_labels(image, model.pipeline.network, numbers), labels)
            ours += dice(found, reference, labels)
            at_half += dice(label_image(image, model.pipeline.network, half).labels, reference, labels)
        means = [statistics.mean(values) for values in (ours, at_half)]
        by_label = [f"{statistics.mean(agreement[n :: len(labels)]):.5f}" for n in range(len(labels))]
        print(f"| {bundle.name} | {len(cases)} | {', '.join(by_label)} | {min(agreement):.5f} | {same} | ", end="")
        print(f"{means[0]:.5f} | {means[1]:.5f} |", flush=True)


if __name__ == "__main__":
    main()
