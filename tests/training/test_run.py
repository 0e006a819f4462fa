"""Schedule, checkpoints, and a resumed run that takes the unbroken one's steps."""

import json
import math

import pytest
import torch
from project import BUNDLES, SAMPLES
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from medseg import InputError, train
from medseg.bundle.weights import load_weights
from medseg.training.run_record import open_run

TINY = {
    "max_minutes": None,
    "_meta_#medseg#network#features": [4, 8],
    "_meta_#medseg#split": {"seed": 0, "validation": 0.1, "test": 0.0},
    "batch_size": 4,
    "device": "cpu",
}


def test_one_run_resumed_equals_one_unbroken(tmp_path):
    bundle = BUNDLES / "hippocampus_mr_unet3d"
    whole = train(bundle, SAMPLES / "mr", output_dir=str(tmp_path / "a"), max_epochs=4, val_interval=2, **TINY)
    again = train(bundle, SAMPLES / "mr", output_dir=str(tmp_path / "b"), max_epochs=4, val_interval=2, **TINY)
    assert whole["outcome"]["best"] == again["outcome"]["best"]

    start_and_kill_in_the_third_epoch(bundle, tmp_path / "c")
    resumed = train(bundle, SAMPLES / "mr", output_dir=str(tmp_path / "c"), max_epochs=4, val_interval=2, **TINY)
    assert resumed["outcome"]["epochs"] == 4
    last = [torch.load(tmp_path / run / "models/last.pt", weights_only=True) for run in "abc"]
    for name, weight in last[0]["network"].items():
        torch.testing.assert_close(last[1]["network"][name], weight, rtol=0, atol=0)
        torch.testing.assert_close(last[2]["network"][name], weight, rtol=0, atol=0)

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
    import medseg.training

    seed_epoch = medseg.training.Checkpoints._seed_epoch

    def killed_in_the_third(self, engine):
        if engine.state.epoch == 3:
            raise KeyboardInterrupt
        seed_epoch(self, engine)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(medseg.training.Checkpoints, "_seed_epoch", killed_in_the_third)
        with pytest.raises(KeyboardInterrupt):
            train(bundle, SAMPLES / "mr", output_dir=str(output_dir), max_epochs=4, val_interval=2, **TINY)
    assert torch.load(output_dir / "models/last.pt", weights_only=True)["epoch"] == 2


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


def test_a_time_budget_ends_the_run_with_a_validated_checkpoint(tmp_path):
    settings = {**TINY, "max_minutes": 0.02}
    record = train(
        BUNDLES / "hippocampus_mr_unet3d", SAMPLES / "mr", output_dir=str(tmp_path), max_epochs=10_000, **settings
    )
    assert record["outcome"]["minutes"] < 0.5
    assert record["outcome"]["best"]["epoch"] >= 1
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
    assert {"started", "settings", "versions", "machine"} <= set(record)
    assert not math.isnan(record["machine"]["threads"])
