"""The commands: what they print, and their exit statuses."""

import json
import re

import pytest
import torch
from conftest import BUNDLES, SAMPLES, medseg, run
from typer.testing import CliRunner

from medseg import InputError
from medseg.bundle import read_metadata
from medseg.cli import app, parse_overrides
from medseg.networks import unet

BUNDLE = BUNDLES / "hippocampus_mr_unet2d"


def command(*arguments: object):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_help_comes_without_the_heavy_imports():
    run("-c", "import sys, medseg.cli; assert not {'torch', 'monai', 'numpy'} & set(sys.modules)")
    shown = command("--help").stdout
    assert all(name in shown for name in ("train", "predict", "evaluate"))


def test_overrides_are_literals_where_they_read_as_one():
    pairs = ["max_epochs=3", "learning_rate=1e-3", "resume=False", "decay=poly", "output_dir=runs/a=b", "--seed=1"]
    assert parse_overrides(pairs) == {
        "max_epochs": 3,
        "learning_rate": 1e-3,
        "resume": False,
        "decay": "poly",
        "output_dir": "runs/a=b",
        "seed": 1,
    }
    with pytest.raises(InputError, match="key=value"):
        parse_overrides(["max_epochs"])


def test_train_then_predict_then_evaluate(tmp_path):
    short = ("max_epochs=1", "batch_size=8", "patches_per_case=1", "device=cpu")
    done = command("train", BUNDLE, "--data", SAMPLES / "mr", f"output_dir={tmp_path / 'run'}", *short)
    assert "best epoch 1" in done.stdout, done.output
    weights = ("--weights", tmp_path / "run/models/best.pt", "--device", "cpu")
    done = command("predict", BUNDLE, SAMPLES / "mr_held_back", tmp_path / "maps", *weights)
    assert done.exit_code == 0
    assert "4 of 4 cases done" in done.stdout
    done = command(
        "evaluate", tmp_path / "maps", SAMPLES / "mr_held_back", tmp_path / "judged", "--bundle", BUNDLE
    )
    assert done.exit_code == 0
    mean = json.loads((tmp_path / "judged/summary.json").read_text())["labels"]["1"]["dice"]["mean"]
    assert "anterior" in done.stdout
    assert f"{mean:.3f}" in done.stdout


def test_exit_status_says_how_a_batch_ended(tmp_path):
    numbers = read_metadata(BUNDLE)["medseg"]
    network = unet(patch_size=numbers["patch_size"], **numbers["network"])
    torch.save(network.state_dict(), tmp_path / "w.pt")
    weights = ("--weights", tmp_path / "w.pt", "--device", "cpu")
    (tmp_path / "in").mkdir()
    (tmp_path / "in/bad.nii.gz").write_bytes(b"no image")
    (tmp_path / "in/good.nii.gz").write_bytes((SAMPLES / "mr/images/mr_00.nii.gz").read_bytes())
    done = medseg("predict", BUNDLE, tmp_path / "in", tmp_path / "out", *weights, check=False)
    assert done.returncode == 1
    assert "1 of 2 cases done" in done.stdout
    assert "failed bad: FILE_UNREADABLE: " in done.stdout
    assert re.findall(r"│ (.+?) +│ (\d+) +│", done.stdout) == [
        ("done", "1"),
        ("done before", "0"),
        ("failed FILE_UNREADABLE", "1"),
    ]
    (tmp_path / "in/bad.nii.gz").unlink()
    done = medseg("predict", BUNDLE, tmp_path / "in", tmp_path / "out", *weights, "--shard", "1/1")
    assert "1 of 1 cases done" in done.stdout
    done = medseg("predict", BUNDLE, tmp_path / "in", tmp_path / "out", *weights, "--shard", "3/2", check=False)
    assert (done.returncode, done.stderr.split(":")[1]) == (2, " CONFIG_BAD_VALUE")
    done = medseg("predict", BUNDLE, tmp_path / "nowhere", tmp_path / "out", *weights, check=False)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1


def test_monai_s_command_line_ends_the_same_way(tmp_path):
    config = BUNDLE / "configs/inference.json"
    numbers = read_metadata(BUNDLE)["medseg"]
    network = unet(patch_size=numbers["patch_size"], **numbers["network"])
    torch.save(network.state_dict(), tmp_path / "w.pt")
    (tmp_path / "bad.nii.gz").write_bytes(b"no image")
    line = ["-m", "monai.bundle", "run", "inference", "--config_file", config, "--weights", tmp_path / "w.pt"]
    done = run(*line, "--dataset_dir", tmp_path / "bad.nii.gz", "--output_dir", tmp_path / "out", check=False)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "1 of 1 cases failed" in done.stderr
