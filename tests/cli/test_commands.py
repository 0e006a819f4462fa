"""The commands: what they print, and their exit statuses."""

import json
import re
import shutil
from importlib.metadata import version

import numpy as np
import pytest
import torch
from project import BUNDLES, SAMPLES, medseg, run
from typer.testing import CliRunner

from medseg import InputError, evaluate, read_volume
from medseg.bundle.metadata import read_metadata
from medseg.cli.arguments import parse_overrides
from medseg.cli.commands import app
from medseg.networks.residual_unet import unet
from medseg.write.nifti import write_label_map

BUNDLE = BUNDLES / "hippocampus_mr_unet2d"


def command(*arguments: object):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_help_comes_without_the_heavy_imports():
    run("-c", "import sys, medseg.cli; assert not {'torch', 'monai', 'numpy'} & set(sys.modules)")
    shown = command("--help").stdout
    assert all(name in shown for name in ("train", "predict", "evaluate"))


def test_the_version_is_said_in_every_way():
    expected = f"medseg {version('medseg')}\n"
    assert command("--version").stdout == expected
    assert run("-m", "medseg", "--version").stdout == expected


def test_predict_says_which_images_are_unlike_those_trained_on(tmp_path):
    (tmp_path / "in").mkdir()
    shutil.copy(SAMPLES / "mr/images/mr_00.nii.gz", tmp_path / "in/alike.nii.gz")
    shutil.copy(SAMPLES / "mr/labels/mr_00.nii.gz", tmp_path / "in/stranger.nii.gz")
    for _ in range(2):  # and when all is done already
        done = command("predict", BUNDLE, tmp_path / "in", tmp_path / "out", "--device", "cpu")
        assert done.exit_code == 0
        (line,) = [line for line in done.stdout.splitlines() if "INPUT_UNLIKE_TRAINING" in line]
        assert "stranger" in line
        assert "alike" not in line.split(":")[-1]


def test_predict_says_whose_results_were_moved_to_kept(tmp_path):
    (tmp_path / "in").mkdir()
    for name in ("same", "corrected"):
        shutil.copy(SAMPLES / "mr/images/mr_00.nii.gz", tmp_path / f"in/{name}.nii.gz")
    call = ("predict", BUNDLE, tmp_path / "in", tmp_path / "out", "--device", "cpu")
    assert "OUTPUT_KEPT" not in command(*call).stdout
    (tmp_path / "out/corrected.nii.gz").write_bytes(b"by hand")
    told = command(*call).stdout.splitlines()
    assert [line for line in told if "OUTPUT_KEPT" in line] == ["moved to kept/ (OUTPUT_KEPT): corrected"]


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


@pytest.fixture
def folders(tmp_path):
    """The samples' labels as two models' predictions: one has mr_16 shifted by a voxel, the other has it not."""
    for name in ("a", "b"):
        shutil.copytree(SAMPLES / "mr_held_back/labels", tmp_path / name)
    labels = read_volume(tmp_path / "a/mr_16.nii.gz")
    write_label_map(tmp_path / "a/mr_16.nii.gz", np.roll(labels.array, 1, axis=0), labels.affine)
    (tmp_path / "b/mr_16.nii.gz").unlink()
    (tmp_path / "sites.csv").write_text("case,site\nmr_16,Rome\nmr_17,Rome\nmr_18,Oslo\n")
    return tmp_path


def test_evaluate_prints_what_python_returns(folders):
    references = SAMPLES / "mr_held_back"
    options = ("--metric", "lesion_f1", "--metric", "nsd_2mm", "--hd95", "pooled", "--resample", "--show", "mr_17")
    tables = ("--groups", folders / "sites.csv", "--tolerance-mm", "1=0.5", "--tolerance-mm", "2=2")
    done = command("evaluate", folders / "a", references, folders / "cli", "--bundle", BUNDLE, *options, *tables)
    assert done.exit_code == 0, done.output
    summary = evaluate(
        folders / "a",
        references,
        folders / "python",
        bundle=BUNDLE,
        metrics=["lesion_f1", "nsd_2mm"],
        hd95="pooled",
        resample=True,
        show=["mr_17"],
        groups=folders / "sites.csv",
        tolerance_mm={1: 0.5, 2: 2.0},
    )
    for name in ("summary.json", "cases.csv", "report.html"):
        assert (folders / "cli" / name).read_bytes() == (folders / "python" / name).read_bytes(), name
    for label in ("1", "2"):
        entry = summary["labels"][label]
        shown = next(line for line in done.stdout.splitlines() if line.startswith(entry["name"]))
        low, high = entry["dice"]["ci95"]
        assert f"{entry['dice']['mean']:.3f} ({low:.3f}, {high:.3f})" in shown
        assert f"{entry['nsd']['mean']:.3f} (" in shown
    assert "(not given): mr_19" in done.stdout
    assert f"report: {folders / 'cli/report.html'}" in done.stdout


def test_evaluate_two_models(folders):
    done = command("evaluate", folders / "a", folders / "b", SAMPLES / "mr_held_back", folders / "out")
    assert done.exit_code == 0, done.output
    assert "a minus b, paired" in done.stdout
    assert "references without a prediction of b, left out: mr_16" in done.stdout
    assert re.search(r"mean +3 +0\.000 \(0\.000, 0\.000\) +1\.000", done.stdout)
    assert max(map(len, done.stdout.split("warning")[0].splitlines())) <= 80


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--metric", "dices"), "dices"),
        (("--hd95", "95"), "directed-max, area-weighted, pooled"),
        (("--tolerance-mm", "-1"), "0 or more"),
        (("--tolerance-mm", "wide"), "'wide'"),
        (("--tolerance-mm", "1=1", "--tolerance-mm", "2"), "0 or more"),
        (("--tolerance-mm", "1=1"), "label 2"),
        (("--show", "nobody"), "there are mr_16"),
        (("more", "than", "four"), "6 folders were given"),
    ],
)
def test_evaluate_refuses_wrong_settings(folders, options, said):
    done = command("evaluate", folders / "a", SAMPLES / "mr_held_back", folders / "out", *options)
    assert isinstance(done.exception, InputError)
    assert done.exception.code == "CONFIG_BAD_VALUE"
    assert said in str(done.exception)
    assert not (folders / "out").exists()


def test_evaluate_without_an_output_folder_writes_nothing(folders):
    """Two models' folders and the references, as people might type: the references are no place to write to."""
    shutil.copytree(SAMPLES / "mr_held_back", folders / "references")
    done = medseg("evaluate", folders / "a", folders / "b", folders / "references", check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("error: CONFIG_BAD_VALUE: output ")
    assert "OUTPUT comes last" in done.stderr
    assert done.stderr.count("\n") == 1
    assert {path.name for path in (folders / "references").iterdir()} == {"images", "labels"}


def test_exit_status_says_how_a_batch_ended(tmp_path):
    numbers = read_metadata(BUNDLE).values["medseg"]
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
    numbers = read_metadata(BUNDLE).values["medseg"]
    network = unet(patch_size=numbers["patch_size"], **numbers["network"])
    torch.save(network.state_dict(), tmp_path / "w.pt")
    (tmp_path / "bad.nii.gz").write_bytes(b"no image")
    line = ["-m", "monai.bundle", "run", "inference", "--config_file", config, "--weights", tmp_path / "w.pt"]
    done = run(*line, "--dataset_dir", tmp_path / "bad.nii.gz", "--output_dir", tmp_path / "out", check=False)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "1 of 1 cases failed" in done.stderr
