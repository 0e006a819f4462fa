"""A run's folder is a bundle at its end, and nothing is written to the one that was trained."""

import json
import shutil

import pytest
import torch
from oracles.tiny_training import TINY, tiny_data_set
from project import BUNDLES, code_of

from medseg import predict, train
from medseg.bundle import open_config, training_images
from medseg.training.result import WRITTEN_BY

NAME = "hippocampus_mr_unet3d"
RUN = {**TINY, "max_epochs": 2, "val_interval": 1}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return tiny_data_set(tmp_path_factory.mktemp("tiny"), cases=6)


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
    """A run of a bundle with code of its own, which nobody may write to, and its folder."""
    folder = tmp_path_factory.mktemp("shared")
    shutil.copytree(BUNDLES / NAME, folder / NAME, ignore=shutil.ignore_patterns("model.pt"))
    (folder / NAME / "scripts").mkdir()
    (folder / NAME / "scripts/own.py").write_text("NUMBER = 3\n")
    before = contents(folder / NAME)
    train(folder / NAME, data, output_dir=str(folder / "run"), learning_rate=0.003, **RUN)
    assert contents(folder / NAME) == before
    return folder / "run"


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_run_can_be_predicted_with_as_it_was_trained(run, data, tmp_path):
    for name in ("train.json", "inference.json", "evaluate.json", "logging.conf"):
        assert (run / "configs" / name).read_bytes() == (BUNDLES / NAME / "configs" / name).read_bytes()
    numbers = json.loads((run / "configs/metadata.json").read_text())["medseg"]
    assert numbers["training"]["learning_rate"] == 0.003
    assert numbers["training"]["max_epochs"] == 2
    assert numbers["network"]["features"] == [4, 8]
    assert numbers["split"]["validation"] == 0.2
    assert (run / "LICENSE").is_file()
    assert (run / "scripts/own.py").read_text() == "NUMBER = 3\n"
    state = torch.load(run / "models/model.pt", weights_only=True)
    assert all(isinstance(value, torch.Tensor) for value in state.values())
    assert training_images(run / "models/model.pt").cases == 5
    cases = data / "images"
    (first, *_) = predict(run, cases, tmp_path / "a", device="cpu")
    assert first["status"] == "done"
    assert "weights" not in first["bundle"], "they are the bundle's own"


def test_its_page_has_what_was_measured_and_stays_as_somebody_wrote_it(run, data):
    record = json.loads((run / "run.json").read_text())
    page = run / "docs/README.md"
    assert f"| **mean** | {record['outcome']['best']['dice']:.4f} |" in page.read_text()
    assert "5 training, 1 validation" in page.read_text()
    assert WRITTEN_BY in page.read_text()
    page.write_text("mine")
    train(run.parent / NAME, data, output_dir=str(run), learning_rate=0.003, **RUN)
    assert page.read_text() == "mine"


def test_the_log_says_with_times_what_was_done_and_what_to_type_next(run):
    lines = (run / "training.log").read_text().splitlines()
    assert lines[0][:4].isdigit()
    assert f"medseg predict {run} INPUT OUTPUT" in lines
    assert any("at most 2 epochs of 2 steps" in line for line in lines)
    assert sum("Dice" in line for line in lines) >= 2


def test_a_bundle_is_not_trained_into_itself(data, tmp_path):
    shutil.copytree(BUNDLES / NAME, tmp_path / NAME)
    before = contents(tmp_path / NAME)
    assert (
        code_of(train, tmp_path / NAME, data, output_dir=str(tmp_path / NAME), **RUN) == "OUTPUT_WOULD_OVERWRITE"
    )
    assert contents(tmp_path / NAME) == before


def test_numbers_given_for_a_run_are_in_its_metadata():
    config = open_config(BUNDLES / NAME, "training", {"max_minutes": 3, "_meta_::medseg::network::dropout": 0.5})
    numbers = config.metadata_in_use()["medseg"]
    assert (numbers["training"]["max_minutes"], numbers["network"]["dropout"]) == (3, 0.5)
    assert config.metadata.values["medseg"]["training"]["max_minutes"] != 3
