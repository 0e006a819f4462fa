"""All folds: each case judged by the network that held it out, and one bundle at the end."""

import csv
import json
import os
import signal

import pytest
from oracles.tiny_training import TINY, tiny_data_set
from project import BUNDLES, code_of

from medseg import predict, train
from medseg.bundle import own_weights
from medseg.errors import Stopped
from medseg.training import Checkpoints

BUNDLE = BUNDLES / "hippocampus_mr_unet3d"
RUN = {**TINY, "max_epochs": 2, "val_interval": 2}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return tiny_data_set(tmp_path_factory.mktemp("tiny"), cases=6)


def test_five_folds_stopped_in_the_second_and_gone_on_with_make_one_bundle(data, tmp_path):
    output, seed_step = tmp_path / "out", Checkpoints._seed_step

    def stop_in_fold_1(self, engine):
        seed_step(self, engine)
        if self.models.parent.name == "fold_1":
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Checkpoints, "_seed_step", stop_in_fold_1)
        with pytest.raises(Stopped):
            train(BUNDLE, data, folds="all", output_dir=str(output), **RUN)
    assert not (output / "fold_2").exists()
    first = (output / "fold_0/models/last.pt").stat().st_mtime_ns
    record = train(BUNDLE, data, folds="all", output_dir=str(output), **RUN)
    assert (output / "fold_0/models/last.pt").stat().st_mtime_ns == first
    assert set(record["folds"]) == set("01234")

    with (output / "out_of_fold/cases.csv").open() as file:
        cases = {row["case"] for row in csv.DictReader(file)}
    assert len(cases) == 6
    splits = [json.loads((output / f"fold_{k}/split.json").read_text()) for k in range(5)]
    assert sorted(name for split in splits for name in split["validation"]) == sorted(cases)
    summary = json.loads((output / "out_of_fold/summary.json").read_text())
    assert summary["mean"] == record["summary"]
    dice = [mean for _, mean in record["tried"]]
    assert summary["mean"]["dice"]["mean"] == pytest.approx(max(dice))
    numbers = json.loads((output / "configs/metadata.json").read_text())["medseg"]
    assert numbers["postprocessing"]["largest_component"] == record["largest_component"]
    assert ("comparison" in summary) == bool(record["largest_component"])

    assert own_weights(output) == [str(output / f"models/fold_{k}.pt") for k in range(5)]
    by_bundle = predict(output, data / "images", tmp_path / "a", device="cpu")
    files = [str(output / f"fold_{k}/models/best.pt") for k in range(5)]
    predict(output, data / "images", tmp_path / "b", device="cpu", weights=files)
    predict(output, data / "images", tmp_path / "c", device="cpu", weights=output)
    assert "weights" not in by_bundle[0]["bundle"]
    for path in (tmp_path / "a").glob("*.nii.gz"):
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()
        assert path.read_bytes() == (tmp_path / "c" / path.name).read_bytes()
    assert f"| {record['folds']['3']['steps']} |" in (output / "docs/README.md").read_text()


def test_folds_that_cannot_be_trained_are_refused_before_anything_is_written(data, tmp_path):
    given = {"output_dir": str(tmp_path / "out"), **RUN}
    for folds in ("some", [5], [], True):
        assert code_of(train, BUNDLE, data, folds=folds, **given) == "CONFIG_BAD_VALUE"
    assert code_of(train, BUNDLE, data, folds="all", fold=1, **given) == "CONFIG_BAD_VALUE"
    assert code_of(train, BUNDLE, data, folds="all", max_epoch=1, **given) == "CONFIG_UNKNOWN_KEY"
    few = tiny_data_set(tmp_path / "few", cases=4)
    assert code_of(train, BUNDLE, few, folds="all", **given) == "CASES_EMPTY"
    assert not (tmp_path / "out").exists()
    (tmp_path / "out/configs").mkdir(parents=True)
    assert code_of(train, BUNDLE, data, folds="all", **given) == "OUTPUT_WOULD_OVERWRITE"
