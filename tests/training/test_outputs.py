"""A run writes to a folder of its own, and is refused before it reads or writes anything."""

import json
import shutil

import pytest
from project import BUNDLES, SAMPLES, code_of

from medseg import train

BUNDLE = BUNDLES / "hippocampus_mr_unet3d"


def contents(folder):
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("where", ["data/images", "data/labels", "other", "damaged"])
def test_nothing_is_written_among_inputs_or_over_strangers(tmp_path, where):
    shutil.copytree(SAMPLES / "mr", tmp_path / "data")
    (tmp_path / "other/models").mkdir(parents=True)
    (tmp_path / "other/models/best.pt").write_bytes(b"of another program")
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged/run.json").write_text(json.dumps(["not a run"]))
    before = contents(tmp_path)
    call = {"output_dir": str(tmp_path / where), "max_epochs": 1, "device": "cpu"}
    assert code_of(train, BUNDLE, tmp_path / "data", **call) == "OUTPUT_WOULD_OVERWRITE"
    assert contents(tmp_path) == before
