"""A finished run's folder as a bundle: configs, weights, metadata as trained, what was measured, the licence."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from medseg.bundle import Metadata, bundle_folder, config_in_use
from medseg.files import atomic, write_json, write_text
from medseg.training.result_page import training_page

WRITTEN_BY = "<!-- written by medseg at the end of training; without this line it is left as it is -->"
VERSIONS = {"monai_version": "monai", "pytorch_version": "torch", "numpy_version": "numpy"}


def write_bundle(output_dir: str | Path, bundle: str | Path, record: Mapping[str, Any]) -> None:
    """Make a run's folder a bundle that can be predicted with: `bundle`, with the run's numbers and weights.

    Parameters
    ----------
    output_dir
        With ``models/best.pt``, which becomes ``models/model.pt`` too.
    bundle
        What was trained; nothing is written there, unless it is `output_dir` itself, whose run went on.
    record
        As in ``run.json``.
    """
    folder, config = Path(output_dir), config_in_use(bundle, "training")
    copy_configs(config.root, folder)
    metadata = {**config.metadata_in_use(), **{key: version(name) for key, name in VERSIONS.items()}}
    write_json(folder / "configs/metadata.json", metadata)
    _copy(folder / "models/best.pt", folder / "models/model.pt")
    write_readme(folder, training_page(folder, Metadata(metadata), record))


def copy_configs(bundle: str | Path, folder: Path) -> None:
    """Copy what a bundle is made of beside weights and words: configs, its own Python code, the licence."""
    root = bundle_folder(bundle).resolve()
    if root == folder.resolve():
        return
    code = [path for path in root.rglob("*.py") if folder.resolve() not in path.resolve().parents]
    for path in [*(root / "configs").iterdir(), *code, root / "LICENSE"]:
        if path.is_file():
            _copy(path, folder / path.relative_to(root))


def write_readme(folder: Path, text: str) -> None:
    """Write ``docs/README.md``, unless somebody wrote another one there."""
    path = folder / "docs/README.md"
    if not path.is_file() or WRITTEN_BY in path.read_text(encoding="utf-8", errors="replace"):
        write_text(path, f"{text.rstrip()}\n\n{WRITTEN_BY}\n")


def _copy(source: Path, target: Path) -> None:
    with atomic(target) as part:
        shutil.copyfile(source, part)
