"""A bundle's model in memory: opened once, then asked for one volume after another."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from medseg.bundle import META, check_overrides, config_file, read_metadata
from medseg.errors import InputError
from medseg.prediction.case import Prepared, preprocess, segment
from medseg.read import Volume, read_volume
from medseg.write import check_volume


@dataclass(frozen=True)
class Model:
    """What a bundle's inference config makes of its numbers and weights."""

    preprocessing: Any
    network: Any
    inferer: Any
    postprocessing: Any
    spatial_dims: int
    budget_mib: float
    select: Mapping[str, str]

    def __call__(self, data: Volume | str | Path) -> Volume:
        """Return the labels of a volume, or of the one at a path, as a volume on its grid.

        Raises
        ------
        InputError
            The volume cannot be read, or the model cannot have it.
        """
        volume = data if isinstance(data, Volume) else read_volume(data, **self.select)
        check_volume(volume, spatial_dims=self.spatial_dims, formats=("nifti",))
        prepared = Prepared(volume, preprocess(volume, self.preprocessing))
        labels, _ = segment(
            prepared,
            network=self.network,
            inferer=self.inferer,
            postprocessing=self.postprocessing,
            budget_mib=self.budget_mib,
        )
        return Volume(labels, volume.affine, modality="SEG", codes=volume.codes, source=volume.source)


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
    config = config_file(bundle, "inference")
    check_overrides(config, overrides)
    given = overrides.get("weights", config.parent.parent / "models" / "model.pt")
    weights = [Path(path) for path in ([given] if isinstance(given, (str, Path)) else given)]
    stamps = tuple(
        (str(path), path.stat().st_mtime_ns, path.stat().st_size)
        for path in (config, config.with_name("metadata.json"), *weights)
        if path.is_file()
    )
    return _open(config, stamps, json.dumps(overrides, sort_keys=True, default=str))


@lru_cache(maxsize=2)
def _open(config: Path, _: Sequence[tuple], overrides: str) -> Model:
    from monai.bundle import ConfigParser

    root = config.parent.parent
    metadata = read_metadata(root)
    parser = ConfigParser()
    parser.read_config(str(config))
    parser[META] = metadata
    parser["bundle_root"] = str(root)
    for key, value in json.loads(overrides).items():
        parser[key] = value
    names = ("preprocessing", "network", "inferer", "postprocessing")
    parts = {name: parser.get_parsed_content(name) for name in names}
    select = {key: parser.get_parsed_content(key) for key in ("series_uid", "description", "modality")}
    parts["network"].eval()
    return Model(
        **parts,
        spatial_dims=metadata["medseg"]["network"]["spatial_dims"],
        budget_mib=parser.get_parsed_content("budget_mib"),
        select={key: value for key, value in select.items() if value},
    )


def as_volume(data: Any, affine: Any) -> Volume | str | Path:
    """Return an array with its affine as a volume; a volume or a path stays what it is.

    Raises
    ------
    InputError
        `GEOMETRY_BAD_AFFINE`: an array without an affine lies nowhere, and has no size in mm.
    """
    if isinstance(data, (Volume, str, Path)):
        return data
    if affine is None:
        raise InputError(
            "GEOMETRY_BAD_AFFINE",
            "an array alone has no place and no spacing: give affine=, 4×4, voxel to RAS+ mm",
        )
    return Volume(np.asarray(data), np.asarray(affine, float))
