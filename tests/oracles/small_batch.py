"""Small volumes the way of `predict_cases` with a network of no weight, so that the runner is most of the work."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from project import BUNDLES

BUNDLE = BUNDLES / "hippocampus_mr_unet3d"
SHAPE = (20, 24, 16)


def write_cases(folder: Path, count: int) -> None:
    import nibabel
    import numpy as np

    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for n in range(count):
        image = nibabel.Nifti1Image(rng.integers(0, 1000, SHAPE).astype(np.int16), np.eye(4))
        nibabel.save(image, folder / f"case_{n:04d}.nii.gz")


def predict_small(data: str | Path, output: str | Path, **how: Any) -> list[dict[str, Any]]:
    """Predict a folder as a bundle would, with a network that passes intensities on as scores."""
    import torch

    from medseg.cases.find import find_cases
    from medseg.infer.postprocess import to_native_labels
    from medseg.prediction.run import predict_cases
    from medseg.preprocess.pipeline import preprocessing

    class PassOn(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.unused = torch.nn.Parameter(torch.zeros(1))  # says which device it is on

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            image = image.as_subclass(torch.Tensor)
            return torch.cat([-image, image], dim=1)

    steps = preprocessing(intensity={"kind": "mr"}, patch_size=[8, 8, 8])
    defaults: dict[str, Any] = {
        "preprocessing": steps,
        "network": PassOn(),
        "inferer": lambda inputs, network: network(inputs),
        "postprocessing": to_native_labels(steps),
        "device": "cpu",
        "bundle": BUNDLE,
        "weights": __file__,
    }
    return predict_cases(find_cases(data), output, **{**defaults, **how})
