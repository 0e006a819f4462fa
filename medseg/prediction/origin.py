"""What labels were made by: the bundle, its weights and its settings, by name and by hash."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medseg.bundle import Metadata, bundle_folder, check_weights, own_weights, read_metadata, weight_files
from medseg.files import sha256_of


@dataclass(frozen=True)
class Origin:
    """A model as the manifest records it.

    Attributes
    ----------
    metadata
        The bundle's.
    metadata_sha256
        Of its file.
    weights_sha256
        Of each file of weights.
    config_sha256
        Of what makes the labels in the config; see `medseg.bundle.Config.sha256`.
    mirror_axes
        Along which the image was also run mirrored.
    weights
        What other weights than the bundle's own are called: the run and the file, such as ``fold_0/best.pt``.
        Empty where they are its own.
    """

    metadata: Metadata
    metadata_sha256: str
    weights_sha256: tuple[str, ...]
    config_sha256: str
    mirror_axes: tuple[int, ...] = ()
    weights: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        hashes = self.weights_sha256
        plain: dict[str, Any] = {
            "name": self.metadata.name,
            "version": self.metadata.version,
            "weights_sha256": hashes[0] if len(hashes) == 1 else list(hashes),
            "metadata_sha256": self.metadata_sha256,
            "config_sha256": self.config_sha256,
        }
        if self.mirror_axes:
            plain["mirror_axes"] = list(self.mirror_axes)
        if self.weights:
            plain["weights"] = list(self.weights)
        return plain


def same_model(one: Any, other: Any) -> bool:
    """Say whether two records' ``bundle`` are the same model, wherever its weights lay."""
    both = isinstance(one, dict) and isinstance(other, dict)
    return both and {**one, "weights": None} == {**other, "weights": None}


def origin_of(
    bundle: str | Path, weights: str | Path | Sequence[str | Path], mirror_axes: Sequence[int], config_sha256: str
) -> Origin:
    """Return what a bundle's labels are made by; `weights` are the paths of one file or more.

    Raises
    ------
    InputError
        `BUNDLE_MISSING`, `WEIGHTS_MISSING`.
    """
    paths = weight_files(weights)
    hashes = tuple(sha256_of(check_weights(path)) for path in paths)
    folder = bundle_folder(bundle)
    own = weight_files(own_weights(folder))
    is_own = len(paths) == len(own) and all(
        path.is_file() and (path.samefile(given) or digest == sha256_of(path))
        for path, given, digest in zip(own, paths, hashes, strict=True)
    )
    return Origin(
        metadata=read_metadata(folder),
        metadata_sha256=sha256_of(folder / "configs" / "metadata.json"),
        weights_sha256=hashes,
        config_sha256=config_sha256,
        mirror_axes=tuple(mirror_axes),
        weights=() if is_own else tuple(map(_called, paths)),
    )


def _called(path: Path) -> str:
    """Return a checkpoint's name with that of the run or bundle it lies in, ``RUN/models/best.pt``."""
    folder = path.resolve().parent
    return f"{(folder.parent if folder.name == 'models' else folder).name}/{path.name}"
