"""A bundle's model in memory: opened once, then asked for one volume after another."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from medseg.bundle import open_config, own_weights, weight_files
from medseg.errors import InputError, unwrapped
from medseg.prediction.case import Pipeline, infer, postprocess, preprocess
from medseg.read import (
    UNLIKE_TRAINING,
    Selection,
    Volume,
    check_count,
    checked,
    compared,
    in_words,
    joined,
    read_volume,
    volume_of_array,
)
from medseg.write import check_volume

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Model:
    """A bundle's pipeline, ready to be called.

    Attributes
    ----------
    pipeline
        The network with what goes before and after it.
    spatial_dims
        3, or 2 for a network that goes slice by slice.
    budget_mib
        How large the process may grow; 0 for what is free, less a tenth.
    selection
        Which volume of a path is meant, and what may be repaired in it.
    channels
        Of an image.
    """

    pipeline: Pipeline
    spatial_dims: int
    budget_mib: float
    selection: Selection
    channels: int = 1

    def __call__(self, data: Any, affine: Any = None) -> Volume:
        """Return the labels of a volume, an array with its affine, or the volume at a path, on its own grid.

        Of several channels: an array (channels, I, J, K), or a list of volumes, arrays or paths, one a channel.

        Raises
        ------
        InputError
            What is wrong with it, the same for a file, a `Volume` and an array; an array without an affine lies
            nowhere, and has no size in mm (`GEOMETRY_BAD_AFFINE`).
        """
        volume, far = compared(_as_volume(data, affine, self), self.pipeline.training_images)
        if far:
            log.warning("%s: %s", UNLIKE_TRAINING, in_words(far))
        check_volume(volume, spatial_dims=self.spatial_dims, formats=("nifti",))
        prepared = preprocess(volume, self.pipeline.preprocessing)
        labels = postprocess(infer(prepared, self.pipeline, self.budget_mib), prepared, self.pipeline).labels
        return Volume(labels, volume.affine, "SEG", codes=volume.codes, source=volume.source, repair=volume.repair)


def open_model(bundle: str | Path, **overrides: Any) -> Model:
    """Return a bundle's model, the same one as long as its files and `overrides` are the same.

    Parameters
    ----------
    overrides
        Values of its ``inference.json``, such as ``weights``, ``device`` or ``mirror_axes``.

    Raises
    ------
    InputError
        `BUNDLE_MISSING`, `CONFIG_UNKNOWN_KEY`, `CONFIG_BAD_VALUE`, `WEIGHTS_MISSING`, `WEIGHTS_MISMATCH`.
    """
    config = open_config(bundle, "inference", overrides)
    weights = weight_files(overrides.get("weights", own_weights(config.root)))
    stamps = tuple(
        (str(path), path.stat().st_mtime_ns, path.stat().st_size)
        for path in (config.file, config.file.with_name("metadata.json"), *weights)
        if path.is_file()
    )
    return _open(str(config.root), stamps, json.dumps(overrides, sort_keys=True, default=str))


@lru_cache(maxsize=2)
def _open(bundle: str, _: Sequence[tuple], overrides: str) -> Model:
    config = open_config(bundle, "inference", json.loads(overrides))
    parser = config.parser()
    names = ["preprocessing", "network", "inferer", "postprocessing"]
    names += ["training_images"] if "training_images" in config.values else []  # not in bundles of before
    with unwrapped():
        pipeline = Pipeline(**{name: parser.get_parsed_content(name) for name in names})
    pipeline.network.eval()
    select = {key: parser.get_parsed_content(key) for key in ("series_uid", "description", "modality", "repair")}
    return Model(
        pipeline,
        spatial_dims=config.metadata.spatial_dims,
        budget_mib=parser.get_parsed_content("budget_mib"),
        selection=Selection(**select),
        channels=config.metadata.network_channels,
    )


def _as_volume(data: Any, affine: Any, model: Model) -> Volume:
    """Return an input as one volume of as many channels as the model takes."""
    parts = list(data) if isinstance(data, (list, tuple)) else [data]
    if len(parts) == 1 and isinstance(parts[0], (str, Path)):
        return read_volume(parts[0], **model.selection.as_json(), channels=model.channels)
    if len(parts) == 1 and model.channels > 1 and np.ndim(parts[0]) == 4:
        parts = list(parts[0])
    volumes = [_of_channel(part, affine, model.selection) for part in parts]
    check_count(sum(len(volume.channels) for volume in volumes), model.channels, "the input")
    return volumes[0] if len(volumes) == 1 else joined(volumes)


def _of_channel(data: Any, affine: Any, selection: Selection) -> Volume:
    if isinstance(data, (str, Path)):
        return read_volume(data, **selection.as_json())
    if isinstance(data, Volume):
        return checked(data)
    if affine is None:
        raise InputError(
            "GEOMETRY_BAD_AFFINE",
            "an array alone has no place and no spacing: give affine=, 4×4, voxel index to RAS+ mm",
        )
    return volume_of_array(data, affine)
