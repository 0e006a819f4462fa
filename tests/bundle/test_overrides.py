"""Calls that are wrong are refused by name before anything is read or written."""

import json
import shutil

import numpy as np
import pytest
from project import BUNDLES, SAMPLES, medseg, monai_bundle

from medseg import InputError
from medseg.bundle.metadata import read_metadata
from medseg.bundle.open import open_config

BUNDLE = BUNDLES / "hippocampus_mr_unet3d"
TRAIN = BUNDLE / "configs/train.json"


@pytest.mark.parametrize(
    ("overrides", "code", "hint"),
    [
        ({"lrr": 1}, "CONFIG_UNKNOWN_KEY", "lrr"),
        ({"max_epoch": 1}, "CONFIG_UNKNOWN_KEY", "did you mean 'max_epochs'"),
        ({"optimizer#lrr": 1}, "CONFIG_UNKNOWN_KEY", "lrr"),
        ({"nothing::like": 1}, "CONFIG_UNKNOWN_KEY", "nothing"),
        ({"_meta_::medseg::network::feature": 1}, "CONFIG_UNKNOWN_KEY", "features"),
        ({"train#handlers#9": 1}, "CONFIG_UNKNOWN_KEY", "9"),
        ({"max_epochs": "many"}, "CONFIG_BAD_VALUE", "many"),
    ],
)
def test_overrides_that_no_config_has(overrides, code, hint):
    with pytest.raises(InputError, match=hint) as caught:
        open_config(BUNDLE, "training", overrides)
    assert caught.value.code == code


def test_overrides_that_are_fine():
    open_config(
        BUNDLE,
        "training",
        {
            "max_epochs": 3,
            "optimizer#weight_decay": 0.1,
            "train::dataloader::num_workers": 2,
            "_meta_::medseg::network::dropout": 0.1,
            "train#handlers#0": "@schedule",
            "learning_rate": "$1e-3",
            "run_id": "training",
        },
    )


def test_a_folder_that_is_no_bundle(tmp_path):
    with pytest.raises(InputError, match="BUNDLE_MISSING"):
        open_config(tmp_path, "training")
    with pytest.raises(InputError, match="BUNDLE_MISSING"):
        read_metadata(tmp_path)
    assert read_metadata(BUNDLE).label_names == {1: "anterior", 2: "posterior"}


def refused(done, word: str) -> None:
    """The call ended with status 2 and one line that names `word`; no traceback."""
    assert done.returncode == 2, done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert word in line
    assert "Traceback" not in done.stderr + done.stdout


def test_mistyped_key_on_both_command_lines(tmp_path):
    output = tmp_path / "out"
    data = ("--dataset_dir", SAMPLES / "mr", "--output_dir", output)
    refused(monai_bundle("training", TRAIN, *data, "--lrr", 1, check=False), "lrr")
    refused(medseg("train", BUNDLE, "--data", SAMPLES / "mr", f"output_dir={output}", "lrr=1", check=False), "lrr")
    assert not output.exists()


def test_bad_data_sets_on_the_command_line(tmp_path, save):
    output = tmp_path / "out"
    shutil.copytree(SAMPLES / "mr", tmp_path / "bare")
    (tmp_path / "bare/labels/mr_05.nii.gz").unlink()
    (tmp_path / "empty").mkdir()
    for data, word in [("bare", "mr_05"), ("empty", "CASES_EMPTY"), ("nowhere", "nowhere")]:
        done = monai_bundle(
            "training", TRAIN, "--dataset_dir", tmp_path / data, "--output_dir", output, check=False
        )
        refused(done, word)
    shutil.copytree(SAMPLES / "mr", tmp_path / "strange")
    save("strange/labels/mr_02.nii.gz", np.full((3, 3, 3), 7, np.uint8))
    refused(medseg("train", BUNDLE, "--data", tmp_path / "strange", f"output_dir={output}", check=False), "mr_02")
    assert not output.exists()


def test_every_config_is_json_with_the_ids_that_tools_expect():
    for bundle in BUNDLES.iterdir():
        for name, job in (("train", "training"), ("inference", "inference"), ("evaluate", "evaluating")):
            config = json.loads((bundle / f"configs/{name}.json").read_text())
            assert {"initialize", job, "run", "finalize", "bundle_root", "dataset_dir", "device"} <= set(config)
