"""Weights of another model to start from, and levels that stay as they are."""

import logging

import pytest
import torch
from oracles.tiny_training import TINY, tiny_data_set
from project import BUNDLES, code_of

from medseg import train
from medseg.bundle import weights_of
from medseg.networks import levels_from_input, unet
from medseg.training import start_network

BUNDLE = BUNDLES / "hippocampus_mr_unet3d"


def network(**changed):
    torch.manual_seed(changed.pop("seed", 0))
    numbers = {"spatial_dims": 3, "labels": 3, "features": [4, 8, 16], "patch_size": [16, 16, 16]}
    return unet(**{**numbers, **changed})


def test_a_new_head_and_a_new_input_start_at_random_and_are_named(tmp_path, caplog):
    torch.save(network().state_dict(), tmp_path / "w.pt")
    with caplog.at_level(logging.INFO, "medseg"):
        other = start_network(network(labels=5, channels=2, seed=1), tmp_path / "w.pt", output_dir=tmp_path)
    ours, theirs = network().state_dict(), other.state_dict()
    different = {name for name, value in theirs.items() if value.shape != ours[name].shape}
    assert 0 < len(different) < len(ours) / 2
    for name in set(ours) - different:
        torch.testing.assert_close(theirs[name], ours[name], rtol=0, atol=0)
    named = [line.split()[3] for line in caplog.messages if line.startswith("starts at random")]
    assert set(named) == different


def test_what_cannot_be_started_from(tmp_path):
    torch.save({"other": torch.zeros(1)}, tmp_path / "w.pt")
    where = {"output_dir": tmp_path}
    assert code_of(start_network, network(), tmp_path / "w.pt", **where) == "WEIGHTS_MISMATCH"
    assert code_of(start_network, network(), tmp_path / "none.pt", **where) == "WEIGHTS_MISSING"
    assert code_of(start_network, network(), "spleen_ct_unet3d", **where) == "WEIGHTS_MISSING"
    assert code_of(start_network, network(), None, freeze=3, **where) == "CONFIG_BAD_VALUE"
    assert code_of(start_network, torch.nn.Conv2d(1, 1, 1), None, freeze=1, **where) == "CONFIG_BAD_VALUE"
    (tmp_path / "models").mkdir()
    for n in range(2):
        torch.save(network().state_dict(), tmp_path / f"models/fold_{n}.pt")
    assert code_of(start_network, network(), tmp_path, **where) == "CONFIG_BAD_VALUE"


@pytest.mark.parametrize("residual_units", [0, 1, 2])
def test_levels_are_counted_from_the_input(residual_units):
    levels = levels_from_input(network(residual_units=residual_units))
    assert len(levels) == 3
    image = torch.zeros(1, 1, 16, 16, 16)
    for level, size in zip(levels, (8, 4, 4), strict=True):
        image = level(image)
        assert image.shape[-1] == size
    trained = start_network(network(residual_units=residual_units), None, freeze=2, output_dir="nowhere")
    frozen = {name for name, value in trained.named_parameters() if not value.requires_grad}
    assert frozen == {
        name for name, _ in trained.named_parameters() if name in names_of(trained, levels_from_input(trained)[:2])
    }
    assert frozen


def names_of(network, modules):
    ids = {id(value) for module in modules for value in module.parameters()}
    return {name for name, value in network.named_parameters() if id(value) in ids}


def test_a_run_starts_from_a_run_with_a_frozen_level_and_goes_on_from_its_own_weights(tmp_path):
    data = tiny_data_set(tmp_path / "data", cases=6)
    given = {**TINY, "max_epochs": 2, "val_interval": 2}
    train(BUNDLE, data, output_dir=str(tmp_path / "a"), **given)
    given |= {"init_from": str(tmp_path / "a"), "freeze": 1, "seed": 1}
    train(BUNDLE, data, output_dir=str(tmp_path / "b"), **given)
    states = [torch.load(tmp_path / run / "models/last.pt", weights_only=True)["network"] for run in ("a", "b")]
    best = torch.load(tmp_path / "a/models/best.pt", weights_only=True)
    same = {name for name, value in states[1].items() if torch.equal(value, best[name])}
    assert same
    assert all(name.startswith("model.0.") for name in same)
    assert weights_of(tmp_path / "a") == [tmp_path / "a/models/model.pt"]
    for path in (tmp_path / "a/models").iterdir():
        path.unlink()
    record = train(BUNDLE, data, output_dir=str(tmp_path / "b"), **{**given, "max_epochs": 3})
    assert record["outcome"]["epochs"] == 3
