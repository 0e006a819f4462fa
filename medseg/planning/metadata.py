"""A plan as the content of a bundle's ``metadata.json``; what only people know is left for them to fill in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from medseg.bundle import Metadata, segments_of
from medseg.cases import Described
from medseg.planning.choices import Choices
from medseg.planning.codes import segment_of
from medseg.planning.fingerprint import Fingerprint
from medseg.planning.network_rules import Planned

SCHEMA = "https://github.com/Project-MONAI/MONAI-extra-test-data/releases/download/0.8.1/meta_schema_20240725.json"
PACKAGES = ("medseg", "nibabel", "pytorch-ignite", "tensorboard")
NAMES_SHOWN = 5


def metadata_of(
    described: Described, data: Fingerprint, preprocessing: Mapping[str, Any], planned: Planned, chosen: Choices
) -> dict[str, Any]:
    """Return the content of ``metadata.json``.

    Raises
    ------
    InputError
        `CONFIG_BAD_VALUE`: two labels of one name.
    """
    names = list(data.regions) or [facts["name"] for facts in data.labels.values()]
    channels = names if data.regions else ["background", *names]
    modality = chosen["modality"].value
    values = {
        **_words(described, data, names, modality, planned.network["spatial_dims"]),
        "name": chosen["name"].value,
        "network_data_format": {
            "inputs": {"image": _image(modality, planned, data)},
            "outputs": {"pred": _prediction(planned, channels)},
        },
        "medseg": {
            "patch_size": planned.patch_size,
            "split": {key: chosen[key].value for key in ("seed", "validation", "test", "by_patient")},
            "preprocessing": dict(preprocessing),
            "augmentation": planned.augmentation,
            "network": planned.network,
            "training": planned.training,
            "inference": planned.inference,
            "postprocessing": planned.postprocessing,
            "segments": {name: found for name in names if (found := segment_of(name))},
            **_labels(described),
        },
    }
    segments_of(Metadata(values))  # refuses what no job would open
    return values


def _words(
    described: Described, data: Fingerprint, names: Sequence[str], modality: str, dims: int
) -> dict[str, Any]:
    what = ", ".join(names) if len(names) <= NAMES_SHOWN else f"{len(names)} structures"
    source = ", ".join(filter(None, (described.name, described.reference, described.licence)))
    return {
        "schema": SCHEMA,
        "name": "",
        "version": "0.1.0",
        "changelog": {"0.1.0": "planned"},
        "monai_version": _version("monai"),
        "pytorch_version": _version("torch"),
        "numpy_version": _version("numpy"),
        "required_packages_version": {name: _version(name) for name in PACKAGES},
        "task": f"Segmentation of {what} in {modality}",
        "description": f"{dims}D UNet for {what} in {modality}, planned by medseg from {data.cases} cases",
        "authors": "Not filled in",
        "copyright": "Not filled in",
        "data_source": source or "Not filled in",
        "data_type": "nibabel",
        "intended_use": "Research only; not for diagnosis. Expects images like those it was trained on.",
        "references": [],
    }


def _labels(described: Described) -> dict[str, Any]:
    """Return what is there of regions and of an ignored label."""
    found: dict[str, Any] = {}
    if described.regions:
        found["regions"] = {name: list(ids) for name, ids in described.regions.items()}
    if described.ignore_label is not None:
        found["ignore_label"] = described.ignore_label
    return found


def _image(modality: str, planned: Planned, data: Fingerprint) -> dict[str, Any]:
    return {
        "type": "image",
        "format": "hounsfield" if modality == "CT" else "magnitude",
        "modality": modality,
        "num_channels": planned.network["channels"],
        "spatial_shape": planned.patch_size,
        "dtype": "float32",
        "value_range": [-5, 10],
        "is_patch_data": True,
        "channel_def": {str(n): each.name for n, each in enumerate(data.channels)},
    }


def _prediction(planned: Planned, channels: Sequence[str]) -> dict[str, Any]:
    return {
        "type": "image",
        "format": "segmentation",
        "num_channels": planned.network["labels"],
        "spatial_shape": planned.patch_size,
        "dtype": "float32",
        "value_range": [0, 1],
        "is_patch_data": True,
        "channel_def": {str(n): name for n, name in enumerate(channels)},
    }


def _version(package: str) -> str:
    try:
        return version(package).partition("+")[0]
    except PackageNotFoundError:  # a clone that was not installed
        return "0"
