"""A bundle is named by its folder or, from anywhere, by its name; a path that is there comes first."""

import shutil
from pathlib import Path

import pytest
from project import BUNDLES, SAMPLES, medseg

from medseg import InputError, evaluate, predict
from medseg.bundle import bundle_folder, open_config, read_metadata, shipped_bundles

NAME = "hippocampus_mr_unet3d"


def test_the_shipped_bundles_have_names():
    assert shipped_bundles() == {path.name: path for path in sorted(BUNDLES.iterdir())}


def test_a_name_means_the_shipped_one_until_a_path_of_that_name_is_there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert bundle_folder(NAME) == bundle_folder(Path(NAME)) == BUNDLES / NAME
    assert open_config(NAME, "inference").root == BUNDLES / NAME
    assert read_metadata(NAME).name == NAME
    shutil.copytree(BUNDLES / "spleen_ct_unet3d", tmp_path / NAME)
    assert open_config(NAME, "inference").root == tmp_path / NAME
    assert read_metadata(NAME).name == "spleen_ct_unet3d"


@pytest.mark.parametrize("bundle", ["hippocampus", "bundles/hippocampus_mr_unet4d", ""])
def test_an_unknown_name_is_one_error_that_lists_the_known_ones(bundle, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for call in (lambda: open_config(bundle, "training"), lambda: predict(bundle, "in", "out")):
        with pytest.raises(InputError) as caught:
            call()
        assert caught.value.code == "BUNDLE_MISSING"
        assert bundle == "" or all(name in str(caught.value) for name in shipped_bundles())


def test_every_verb_takes_a_name(tmp_path):
    """From another folder, on the command line and in Python."""
    reference = SAMPLES / "mr_held_back/labels"
    shutil.copytree(reference, tmp_path / "copies")
    summary = evaluate(tmp_path / "copies", reference, tmp_path / "evaluation", bundle=NAME)
    assert [label["name"] for label in summary["labels"].values()] == ["anterior", "posterior"]
    data = SAMPLES / "mr_held_back/images/mr_16.nii.gz"
    medseg("predict", NAME, data, tmp_path / "out", "--device", "cpu", cwd=tmp_path)
    assert (tmp_path / "out/mr_16.nii.gz").is_file()
    assert predict(NAME, data, device="cpu").array.any()
    done = medseg("train", "nope", "--data", SAMPLES / "mr", cwd=tmp_path, check=False)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert NAME in done.stderr
