"""A bundle's job run by medseg or by MONAI: the same check, the right folder, data that is never run as code."""

import shutil
import sys

import pytest
from project import BUNDLES, SAMPLES, monai_bundle

from medseg import InputError, predict
from medseg.bundle import open_config, root
from medseg.bundle.monai_command_line import monai_command_line

BUNDLE = BUNDLES / "hippocampus_mr_unet3d"
CONFIG = str(BUNDLE / "configs/inference.json")
MONAI = "/somewhere/monai/bundle/__main__.py"


@pytest.mark.parametrize(
    "words",
    [
        ["--config_file", "a.json", "--jobs", "2", "--output_dir", "out"],
        ["--config_file=a.json", "--jobs=2", "--output_dir=out"],
        ["-config_file", "a.json", "-jobs", "2", "-output_dir", "out"],
        ["--config-file", "a.json", "--jobs", "2", "--output-dir", "out"],
        ["inference", "initialize", "finalize", "m.json", "a.json", "--jobs", "2", "--output_dir", "out"],
    ],
)
def test_monai_s_command_line_is_read_as_fire_reads_it(words):
    given = monai_command_line([MONAI, "run", *words])
    assert (given["config_file"], given["jobs"], given["output_dir"]) == ("a.json", 2, "out")
    assert monai_command_line(["pytest", "run", *words]) == {}


def test_an_args_file_lies_below_what_is_said(tmp_path):
    (tmp_path / "args.json").write_text('{"jobs": 3, "device": "cpu"}')
    given = monai_command_line([MONAI, "run", "--args_file", str(tmp_path / "args.json"), "--jobs", "2"])
    assert (given["jobs"], given["device"]) == (2, "cpu")


@pytest.mark.parametrize("name", ["-precison", "--precison"])
def test_a_misspelt_key_is_refused_however_it_is_written(tmp_path, name):
    words = ("--dataset_dir", SAMPLES / "mr", "--output_dir", tmp_path / "out", name, "float32")
    done = monai_bundle("inference", CONFIG, *words, check=False)
    assert done.returncode == 2
    assert "did you mean 'precision'" in done.stderr
    assert not (tmp_path / "out").exists()


def workflow(bundle, tmp_path):
    from monai.bundle import ConfigWorkflow

    settings = {"dataset_dir": str(SAMPLES / "mr"), "output_dir": str(tmp_path / bundle.name), "device": "cpu"}
    return ConfigWorkflow(
        str(bundle / "configs/evaluate.json"), logging_file=False, workflow_type="infer", **settings
    )


def test_a_bundle_is_found_while_it_runs_and_no_other_after_it(tmp_path, monkeypatch):
    """MONAI leaves each folder on Python's search path: what an earlier run left there names no bundle."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b"):
        shutil.copytree(BUNDLE / "configs", tmp_path / name / "configs")
        shown = workflow(tmp_path / name, tmp_path)
        shown.initialize()
        assert root() == str(tmp_path), "nothing runs yet, and what ran before does not count"
        shown.run_id = "bundle_root"
        assert shown.run() == [str(tmp_path / name)]
    monkeypatch.chdir(tmp_path / "a")
    workflow(tmp_path / "b", tmp_path).initialize()
    assert root() == str(tmp_path / "a")


def test_names_of_files_and_cases_are_never_run_as_code(weights, tmp_path):
    bad = '$__import__("pathlib").Path("PWNED").touch()'
    folder = tmp_path / bad.replace("/", "")
    folder.mkdir()
    image = folder / f"{bad}.nii.gz"
    shutil.copy(SAMPLES / "mr/images/mr_00.nii.gz", image)
    records = predict(BUNDLE, folder, tmp_path / bad / "out", weights=weights, device="cpu")
    records += predict(BUNDLE, [{"id": bad, "image": str(image)}], tmp_path / "out", weights=weights, device="cpu")
    assert [(record["case"], record["status"]) for record in records] == [(bad, "done")] * 2
    assert (tmp_path / "out" / f"{bad}.nii.gz").is_file()


def test_the_config_that_is_opened_knows_its_own_folder():
    assert open_config(BUNDLE, "inference").root == BUNDLE
    with pytest.raises(InputError, match="BUNDLE_MISSING"):
        open_config(BUNDLE / "configs", "inference")
