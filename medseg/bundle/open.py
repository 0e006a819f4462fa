"""A bundle's config for one job, opened in one way for all: run by MONAI, kept in memory, or only asked. Light."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medseg.bundle.check import check_config
from medseg.bundle.find import bundle_folder
from medseg.bundle.metadata import META, Metadata, read_metadata
from medseg.bundle.overrides import apply_overrides, follow, is_expression
from medseg.bundle.segments import check_labels
from medseg.errors import InputError
from medseg.files import sha256_of

if TYPE_CHECKING:
    from monai.bundle import ConfigParser

# How a config reads a number of the metadata: its place, or its section and the key there that may be left out
NUMBER_READ = re.compile(r"(?:\$[\w.]+\()?@_meta_::([\w:]+)(?:, '(\w+)'\))?")
CONFIG_OF = {"training": "train", "inference": "inference", "evaluating": "evaluate"}
# Of ``inference.json`` what says of which cases, where to and how fast; all else may change the labels
PER_RUN = {
    *("bundle_root", "dataset_dir", "cases", "output_dir", "formats", "seg_type", "shard"),
    *("series_uid", "description", "modality", "repair", "weights"),  # recorded by themselves
    *("device", "jobs", "read_timeout_s", "budget_mib"),
    META,  # by way of `settings`
}


@dataclass(frozen=True)
class Config:
    """A bundle's config for a job, its overrides in it and nothing of it run.

    Attributes
    ----------
    file
        ``BUNDLE/configs/<job's file>.json``, absolute.
    values
        The config by id, expressions as text, the metadata under ``_meta_``.
    """

    file: Path
    values: Mapping[str, Any]

    @property
    def root(self) -> Path:
        """The bundle's folder."""
        return self.file.parent.parent

    @property
    def metadata(self) -> Metadata:
        return Metadata(self.values[META])

    def plain(self, key: str) -> Any:
        """Return a value with its references followed; a value in a section by ``section::key``.

        Raises
        ------
        NotPlain
            Something in it has to be computed, which takes MONAI.
        """
        value = follow(self.values, f"@{key}")
        if is_expression(value):
            raise NotPlain(key)
        return value

    def metadata_in_use(self) -> dict[str, Any]:
        """Return the metadata with what was given in place of the numbers that the config reads from it.

        ``max_epochs``, say, stands in the config as ``@_meta_::medseg::training::max_epochs``.
        """
        written = json.loads(self.file.read_text(encoding="utf-8"))
        metadata: dict[str, Any] = deepcopy(dict(self.values[META]))
        for key, reference in written.items():
            read = NUMBER_READ.fullmatch(reference) if isinstance(reference, str) else None
            if read and key in self.values:
                value, (*sections, last) = self.values[key], "::".join(filter(None, read.groups())).split("::")
                place: Any = metadata
                for section in sections:
                    place = place.setdefault(section, {})
                if not is_expression(value):
                    place[last] = value
        return metadata

    def sha256(self, settings: Any) -> str:
        """Return the hash of what may change the labels: the config as written, `settings` resolved, Python code.

        The code is that of the bundle's folder, which its config may import.
        """
        written = {key: value for key, value in self.values.items() if key not in PER_RUN}
        code = {str(file.relative_to(self.root)): sha256_of(file) for file in sorted(self.root.rglob("*.py"))}
        text = json.dumps([written, settings, *([code] if code else [])], sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()

    def parser(self) -> ConfigParser:
        """Return MONAI's parser of this config."""
        from monai.bundle import ConfigParser

        return ConfigParser({**self.values, "bundle_root": str(self.root)})


class NotPlain(Exception):
    """A config value is an expression."""


def open_config(bundle: str | Path, job: str, overrides: Mapping[str, Any] | None = None) -> Config:
    """Open the config that does `job`.

    Parameters
    ----------
    bundle
        The bundle's folder, or its name, see `bundle_folder`.
    job
        ``"training"``, ``"inference"`` or ``"evaluating"``.
    overrides
        Values by id, such as ``{"max_epochs": 3, "optimizer#weight_decay": 0.1}``.

    Raises
    ------
    InputError
        `BUNDLE_MISSING`; `CONFIG_UNKNOWN_KEY`, `CONFIG_BAD_VALUE`: an override that the config cannot take;
        `CONFIG_BAD_VALUE`, `CONFIG_UNKNOWN_KEY` as `check_config` and `check_labels`.
    """
    file = bundle_folder(bundle).resolve() / "configs" / f"{CONFIG_OF[job]}.json"
    if not file.is_file():
        raise InputError("BUNDLE_MISSING", f"{bundle} is no bundle that does {job}: it has no configs/{file.name}")
    return open_files([file], overrides or {})


def open_files(files: Sequence[Path], overrides: Mapping[str, Any]) -> Config:
    """Open one config, or several of one folder as MONAI merges them, the last one's values on top.

    Raises
    ------
    InputError
        As `open_config`.
    """
    values: dict[str, Any] = {}
    for file in files:
        try:
            values |= json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise InputError("BUNDLE_MISSING", f"{file} is no config that can be read ({error})") from error
    values[META] = read_metadata(files[0].parent.parent).values
    config = Config(files[0], apply_overrides(values, overrides, files[0].name))
    check_config(config.values, config.file)
    check_labels(config.metadata)
    return config
