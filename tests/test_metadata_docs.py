"""The page on metadata.json lists what is read: every key, its default, and who reads it."""

import inspect
import json
import re
from pathlib import Path

import pytest

from medseg.bundle.segments import Segment
from medseg.cases.splits import split_cases
from medseg.infer.inferers import window_inferer
from medseg.infer.postprocess import to_native_labels
from medseg.networks.build import build
from medseg.networks.plain_unet import dynunet
from medseg.networks.residual_unet import unet
from medseg.preprocess.intensity import normalization
from medseg.preprocess.pipeline import preprocessing
from medseg.training.augment import PROBABILITIES, augmentation
from medseg.training.settings import DEFAULTS

ROOT = next(folder for folder in Path(__file__).resolve().parents if (folder / "pyproject.toml").is_file())
PAGE = ROOT / "docs/reference/metadata.md"
METADATA = sorted(ROOT.glob("bundles/*/configs/metadata.json"))
HEAD = ["key", "meaning", "unit or type", "default", "read by"]
REQUIRED, BY_LABEL = "required", "by label id, from `PALETTE`"

READERS = {  # section: what it is passed to, and the arguments that come from elsewhere
    "split": (split_cases, {"cases", "patients"}),
    "preprocessing": (preprocessing, {"patch_size", "labelled", "channels"}),
    "augmentation": (augmentation, {"patch_size", "coarse_axis"}),
    "network": (unet, {"patch_size"}),
    "network of dynunet": (dynunet, {"patch_size"}),
    "inference": (window_inferer, {"patch_size", "precision"}),
    "postprocessing": (to_native_labels, {"regions"}),
    "segments::<label>": (Segment, {"label", "name", "region"}),
}
MR, CT = "preprocessing::intensity of MR", "preprocessing::intensity of CT"


def tables() -> dict[str, dict[str, dict[str, str]]]:
    """Return section, key, column and cell of every table of the page."""
    found: dict[str, dict[str, dict[str, str]]] = {}
    section = ""
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            section = line.lstrip("#").strip().replace("`", "")
        elif line.startswith("| `"):
            cells = [cell.strip() for cell in line.strip("|").split(" | ")]
            row = dict(zip(HEAD, cells, strict=True))
            key = row["key"].strip("`")
            assert key not in found.setdefault(section, {}), f"{section}::{key} is there twice"
            found[section][key] = row
    return found


def default(cell: str) -> object:
    return inspect.Parameter.empty if cell in (REQUIRED, BY_LABEL) else json.loads(cell.strip("`"))


def plain(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value


def keys_of(medseg: dict) -> set[str]:
    """Return the keys that a bundle's metadata holds below `medseg`, each after its section on the page."""
    keys: set[str] = set()
    for section, value in medseg.items():
        if section == "segments":
            keys |= {f"segments::<label>::{key}" for entry in value.values() for key in entry}
        else:
            keys |= {f"{section}::{key}" for key in (value if isinstance(value, dict) else [section])}
    intensity = medseg["preprocessing"]["intensity"]
    return keys | {f"{MR if intensity['kind'] == 'mr' else CT}::{key}" for key in intensity}


@pytest.mark.parametrize("section", READERS)
def test_keys_and_defaults_are_those_of_the_function_that_reads_them(section):
    function, others = READERS[section]
    parameters = inspect.signature(function).parameters
    read = {name: plain(p.default) for name, p in parameters.items() if name not in others}
    listed = {key: default(row["default"]) for key, row in tables()[section].items()}
    if section == "network":
        assert listed.pop("architecture") == inspect.signature(build).parameters["architecture"].default
    assert listed == read


def test_chances_and_training_s_numbers_have_the_defaults_of_the_code():
    chances = {key: default(row["default"]) for key, row in tables()["augmentation::probabilities"].items()}
    assert chances == PROBABILITIES
    given = {key: default(row["default"]) for key, row in tables()["training"].items()}
    assert {key: value for key, value in given.items() if value is not inspect.Parameter.empty} == DEFAULTS


def test_both_kinds_of_intensity_have_the_arguments_of_normalization():
    parameters = inspect.signature(normalization).parameters
    listed = tables()
    assert set(listed[MR]) | set(listed[CT]) == set(parameters)
    for row in (*listed[MR].values(), *listed[CT].values()):
        assert default(row["default"]) == parameters[row["key"].strip("`")].default, row["key"]


@pytest.mark.parametrize("path", METADATA, ids=lambda path: path.parts[-3])
def test_a_shipped_bundle_holds_no_other_key_and_every_required_one(path):
    listed = {f"{section}::{key}": row for section, rows in tables().items() for key, row in rows.items()}
    held = keys_of(json.loads(path.read_text(encoding="utf-8"))["medseg"])
    assert held <= set(listed)
    sections = {key.rpartition("::")[0] for key in held}
    required = {key for key, row in listed.items() if row["default"] == REQUIRED}
    assert {key for key in required if key.rpartition("::")[0] in sections} <= held


def test_who_reads_a_key_exists():
    for section, rows in tables().items():
        for key, row in rows.items():
            names = re.findall(r"`([^`]+)`", row["read by"])
            assert names, f"{section}::{key} says nothing of who reads it"
            source = ""
            for name in names:
                if "/" not in name:
                    assert re.search(rf"^(def|class) {name}\b", source, re.M), f"{name} is not there"
                elif name.startswith("configs/"):
                    for path in METADATA:
                        assert (path.parents[1] / name).is_file()
                else:
                    source = (ROOT / name).read_text(encoding="utf-8")


def test_the_configs_read_no_other_key():
    listed = tables()
    for path in ROOT.glob("bundles/*/configs/*.json"):
        for key in re.findall(r"@_meta_::medseg::([\w:]+)", path.read_text(encoding="utf-8")):
            section, _, name = key.partition("::")
            assert name in listed[section] if name else section in listed, f"{path.name} reads {key}"
