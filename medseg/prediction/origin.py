"""What labels were made by: the bundle, its weights and its settings, by name and by hash."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medseg.bundle import Metadata, check_weights, read_metadata
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
    """

    metadata: Metadata
    metadata_sha256: str
    weights_sha256: tuple[str, ...]
    config_sha256: str
    mirror_axes: tuple[int, ...] = ()

    def as_json(self) -> dict[str, Any]:
        weights = self.weights_sha256
        plain: dict[str, Any] = {
            "name": self.metadata.name,
            "version": self.metadata.version,
            "weights_sha256": weights[0] if len(weights) == 1 else list(weights),
            "metadata_sha256": self.metadata_sha256,
            "config_sha256": self.config_sha256,
        }
        return plain | ({"mirror_axes": list(self.mirror_axes)} if self.mirror_axes else {})


def origin_of(
    bundle: str | Path, weights: str | Path | Sequence[str | Path], mirror_axes: Sequence[int], config_sha256: str
) -> Origin:
    """Return what a bundle's labels are made by; `weights` are the paths of one file or more.

    Raises
    ------
    InputError
        `BUNDLE_MISSING`, `WEIGHTS_MISSING`.
    """
    paths = [weights] if isinstance(weights, (str, Path)) else weights
    return Origin(
        metadata=read_metadata(bundle),
        metadata_sha256=sha256_of(Path(bundle) / "configs" / "metadata.json"),
        weights_sha256=tuple(sha256_of(check_weights(path)) for path in paths),
        config_sha256=config_sha256,
        mirror_axes=tuple(mirror_axes),
    )
