"""Schedule, checkpoints, and a resumed run that takes the unbroken one's steps."""

import json

import pytest
import torch
from oracles.checkpoints import assert_same
from project import BUNDLES, SAMPLES
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from medseg import InputError, predict, train
from medseg.bundle import training_images
from medseg.bundle.weights import load_weights
from medseg.cases import choose_cases, find_cases
from medseg.training import describe_images
from medseg.training.run_record import open_run

TINY = {
    "max_minutes": None,
    "_meta_#medseg#network#features": [4, 8],
    "_meta_#medseg#split": {"seed": 0, "validation": 0.1, "test": 0.0},
    "batch_size": 4,
    "device": "cpu",
}


RESUMED = {**TINY, "_meta_#medseg#network#dropout": 0.3, "decay": "plateau", "max_epochs": 4, "val_interval": 2}
EARLIER_S = 1000.0  # more than the whole test takes


def test_one_run_resumed_equals_one_unbroken(tmp_path):
    """In all that is kept: weights, the optimizer's moments, schedule, running mean, best and epoch."""
    bundle = BUNDLES / "hippocampus_mr_unet3d"
    whole = train(bundle, SAMPLES / "mr", output_dir=str(tmp_path / "a"), **RESUMED)
    again = train(bundle, SAMPLES / "mr", output_dir=str(tmp_path / "b"), **RESUMED)
    start_and_kill_in_the_third_epoch(bundle, tmp_path / "c")
    resumed = train(bundle, SAMPLES / "mr", output_dir=str(tmp_path / "c"), **RESUMED)
    assert whole["outcome"]["best"] == again["outcome"]["best"] == resumed["outcome"]["best"]
    assert resumed["outcome"]["epochs"] == 4
    last = [torch.load(tmp_path / run / "models/last.pt", weights_only=True) for run in "abc"]
    elapsed_s = [state["schedule"].pop("elapsed_s") for state in last]
    assert 0 < elapsed_s[0] < EARLIER_S < elapsed_s[2]
    assert {"network", "optimizer", "schedule", "average", "best", "epoch"} <= set(last[0])
    assert last[0]["epoch"] == 4
    assert last[0]["schedule"]["plateau"]["last_epoch"] == 2
    assert last[0]["optimizer"]["state"]
    for state in last[1:]:
        assert_same(state, last[0])
    best = [torch.load(tmp_path / run / "models/best.pt", weights_only=True) for run in "abc"]
    for state in best[1:]:
        assert_same(state, best[0])

    split = json.loads((tmp_path / "a/split.json").read_text())
    assert len(split["validation"]) == 2
    log = EventAccumulator(str(tmp_path / "a/tensorboard"), size_guidance={"images": 0})
    log.Reload()
    assert {
        "train/loss",
        "train/learning_rate",
        "validation/dice_anterior",
        "validation/hd95_mm_posterior",
    } <= set(log.Tags()["scalars"])
    assert log.Tags()["images"] == ["validation/case_0", "validation/case_1"]


def start_and_kill_in_the_third_epoch(bundle, output_dir):
    """Leave the checkpoint of the second epoch, as if that had taken `EARLIER_S`."""
    import medseg.training

    seed_step = medseg.training.Checkpoints._seed_step

    def killed_in_the_third(self, engine):
        if engine.state.epoch == 3:
            raise KeyboardInterrupt
        seed_step(self, engine)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(medseg.training.Checkpoints, "_seed_step", killed_in_the_third)
        with pytest.raises(KeyboardInterrupt):
            train(bundle, SAMPLES / "mr", output_dir=str(output_dir), **RESUMED)
    last = output_dir / "models/last.pt"
    state = torch.load(last, weights_only=True)
    assert state["epoch"] == 2
    state["schedule"]["elapsed_s"] += EARLIER_S
    torch.save(state, last)


def test_a_finished_run_has_nothing_left_to_do_and_a_changed_one_is_refused(tmp_path):
    bundle = BUNDLES / "hippocampus_mr_unet3d"
    output = str(tmp_path / "a")
    train(bundle, SAMPLES / "mr", output_dir=output, max_epochs=1, **TINY)
    before = (tmp_path / "a/models/last.pt").stat().st_mtime_ns
    record = train(bundle, SAMPLES / "mr", output_dir=output, max_epochs=1, **TINY)
    assert record["outcome"]["epochs"] == 1
    assert (tmp_path / "a/models/last.pt").stat().st_mtime_ns == before
    with pytest.raises(InputError, match="learning_rate"):
        train(bundle, SAMPLES / "mr", output_dir=output, max_epochs=2, learning_rate=0.5, **TINY)
    best = torch.load(tmp_path / "a/models/best.pt", weights_only=True)
    assert all(isinstance(value, torch.Tensor) for value in best.values())


def test_weights_hold_what_the_training_images_are_like(tmp_path):
    """So that another image is told from them, wherever the file is copied to."""
    bundle = BUNDLES / "hippocampus_mr_unet3d"
    train(bundle, SAMPLES / "mr", output_dir=str(tmp_path / "run"), max_epochs=1, **TINY)
    split = json.loads((tmp_path / "run/split.json").read_text())
    cases = choose_cases(find_cases(SAMPLES / "mr", labelled=True), split, "training")
    expected = describe_images(cases, {"kind": "mr"})
    assert expected.cases == len(split["training"]) == 14
    for name in ("best.pt", "last.pt"):
        assert training_images(tmp_path / "run/models" / name) == expected
    plain = tmp_path / "plain.pt"
    torch.save(dict(torch.load(tmp_path / "run/models/best.pt", weights_only=True)), plain)
    assert training_images(plain) is None
    assert training_images([tmp_path / "run/models/best.pt", plain]) is None
    assert training_images([tmp_path / "run/models/best.pt"] * 2).ranges == expected.ranges
    features = {"_meta_#medseg#network#features": [4, 8], "device": "cpu"}
    (record,) = predict(bundle, cases[0]["image"], tmp_path / "out", weights=plain, **features)
    assert record["unlike_training"] is None  # nothing to compare with, and the record says so


def test_a_time_budget_ends_the_run_with_a_validated_checkpoint(tmp_path):
    settings = {**TINY, "max_minutes": 0.02, "max_epochs": 1000}  # 1.2 s, of what would take minutes
    record = train(BUNDLES / "hippocampus_mr_unet3d", SAMPLES / "mr", output_dir=str(tmp_path), **settings)
    assert 1 <= record["outcome"]["best"]["epoch"] <= record["outcome"]["epochs"] < 1000
    assert record["outcome"]["minutes"] >= 0.02
    assert (tmp_path / "models/best.pt").is_file()


def test_weights_that_do_not_fit_are_refused(tmp_path):
    network = torch.nn.Conv2d(1, 2, 3)
    for code, write in [
        ("WEIGHTS_MISSING", lambda _: None),
        ("FILE_UNREADABLE", lambda path: path.write_bytes(b"no weights")),
        ("WEIGHTS_MISMATCH", lambda path: torch.save({"other": torch.zeros(1)}, path)),
        ("FILE_UNREADABLE", lambda path: torch.save(network, path)),  # a pickle that would run code
    ]:
        write(tmp_path / "w.pt")
        with pytest.raises(InputError, match=code):
            load_weights(network, tmp_path / "w.pt")
    torch.save({"network": torch.nn.Conv2d(1, 2, 3).half().state_dict()}, tmp_path / "w.pt")
    assert load_weights(network, tmp_path / "w.pt").weight.dtype == torch.float32


def test_open_run_records_what_it_needs(tmp_path):
    record = open_run(tmp_path, {"seed": 0}, device="cpu", resume=True)
    assert record == json.loads((tmp_path / "run.json").read_text())
    assert set(record) == {"started", "settings", "versions", "machine"}
    assert record["settings"] == {"seed": 0}
    assert record["versions"]["torch"] == torch.__version__
    assert record["machine"]["threads"] == torch.get_num_threads()
    assert record["machine"]["device"] == "cpu"
    assert record["machine"]["fast_precision"] in ("float32", "bfloat16")


def test_other_settings_are_refused_with_a_remedy_of_each_command_line(tmp_path):
    open_run(tmp_path, {"seed": 0}, device="cpu", resume=True)
    (tmp_path / "models").mkdir()
    (tmp_path / "models/last.pt").touch()
    with pytest.raises(
        InputError, match=r"RUN_DIFFERENT_SETTINGS: .*seed = 0, not 1; .*resume=False.*--resume False"
    ):
        open_run(tmp_path, {"seed": 1}, device="cpu", resume=True)
    assert open_run(tmp_path, {"seed": 1}, device="cpu", resume=False)["settings"] == {"seed": 1}
