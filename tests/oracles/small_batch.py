"""Small volumes the way of `predict_cases` with a network of no weight, so that the runner is most of the work."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from project import BUNDLES

from medseg.prediction.claims import WRITING

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


def predict_small(
    data: str | Path,
    output: str | Path,
    *,
    preprocessing: Any = None,
    network: Any = None,
    inferer: Any = None,
    shard: str = "",
    **resources: Any,
) -> list[dict[str, Any]]:
    """Predict a folder as a bundle would, with a network that passes intensities on as scores."""
    import torch

    from medseg.cases import find_cases
    from medseg.infer import to_native_labels
    from medseg.prediction import Pipeline, Resources, origin_of, predict_cases
    from medseg.preprocess import preprocessing as preprocessing_of

    class PassOn(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.unused = torch.nn.Parameter(torch.zeros(1))  # says which device it is on

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            image = image.as_subclass(torch.Tensor)
            return torch.cat([-image, image], dim=1)

    pipeline = Pipeline(
        preprocessing or preprocessing_of(intensity={"kind": "mr"}, patch_size=[8, 8, 8]),
        network or PassOn(),
        inferer or (lambda inputs, network: network(inputs)),
        to_native_labels(),
    )
    return predict_cases(
        find_cases(data),
        output,
        pipeline=pipeline,
        origin=origin_of(BUNDLE, __file__, (), config_sha256=""),
        resources=Resources(device="cpu", **resources),
        shard=shard,
    )


def outputs(folder: Path) -> dict[str, bytes]:
    """Return what a folder holds beside its manifest and the marks of what is being written."""
    besides = ("manifest.jsonl", WRITING)
    return {path.name: path.read_bytes() for path in folder.iterdir() if not path.name.startswith(besides)}


def lines(folder: Path) -> list[dict]:
    """Return the records of a folder's manifest."""
    return [json.loads(line) for line in (folder / "manifest.jsonl").read_text().splitlines()]
