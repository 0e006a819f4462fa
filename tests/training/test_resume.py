"""A run that is killed or stopped anywhere, and started again, is the run that was not."""

import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
import torch
from oracles.checkpoints import assert_same
from oracles.tiny_training import TINY, tiny_data_set
from project import BUNDLES

from medseg import InputError, train
from medseg.errors import Stopped
from medseg.training import Checkpoints

BUNDLE = BUNDLES / "hippocampus_mr_unet3d"
RUN = {**TINY, "max_epochs": 10, "val_interval": 3, "decay": "plateau"}
STEPS = 20  # of 5 cases to train on, 2 a step


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # faster, with so little to do
    yield tiny_data_set(tmp_path_factory.mktemp("tiny"), cases=6)
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def unbroken(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("unbroken")
    train(BUNDLE, data, output_dir=str(folder), **RUN)
    return folder


def at_step(patch, step, event):
    """Let `event` happen in the middle of a step."""
    seed_step = Checkpoints._seed_step

    def seed_and_happen(self, engine):
        seed_step(self, engine)
        if engine.state.iteration == step:
            event()

    patch.setattr(Checkpoints, "_seed_step", seed_and_happen)


def killed():
    raise KeyboardInterrupt  # nothing can be written any more


def interrupted():
    os.kill(os.getpid(), signal.SIGINT)


def assert_same_run(folder, other):
    for name in ("last.pt", "best.pt", "model.pt"):
        states = [torch.load(each / "models" / name, weights_only=True) for each in (folder, other)]
        for state in states:
            state.get("schedule", {}).pop("elapsed_s", None)
        assert_same(*states)
    outcomes = [json.loads((each / "run.json").read_text())["outcome"] for each in (folder, other)]
    assert {**outcomes[0], "minutes": 0} == {**outcomes[1], "minutes": 0}
    assert outcomes[0]["finished"]
    assert outcomes[0]["steps"] == STEPS


@pytest.mark.parametrize("turn", [1, 2])
def test_a_run_is_deterministic(data, unbroken, tmp_path, turn):
    train(BUNDLE, data, output_dir=str(tmp_path / str(turn)), **RUN)
    assert_same_run(tmp_path / str(turn), unbroken)


@pytest.mark.parametrize("step", sorted(np.random.default_rng(13).choice(np.arange(1, STEPS), 10, replace=False)))
def test_a_run_killed_or_stopped_at_any_step_goes_on_to_the_bit(data, unbroken, tmp_path, step):
    """Every other one is killed, with nothing written since the last validation."""
    event, error = (killed, KeyboardInterrupt) if step % 2 else (interrupted, Stopped)
    with pytest.MonkeyPatch.context() as patch:
        at_step(patch, step, event)
        with pytest.raises(error):
            train(BUNDLE, data, output_dir=str(tmp_path), **RUN)
    if error is Stopped:
        state = torch.load(tmp_path / "models/last.pt", weights_only=True)
        assert state["iteration"] == step
        assert not json.loads((tmp_path / "run.json").read_text())["outcome"]["finished"]
    train(BUNDLE, data, output_dir=str(tmp_path), **RUN)
    assert_same_run(tmp_path, unbroken)
    from_the_start = event is killed and step <= 2 * RUN["val_interval"]
    assert ("goes on after step" in (tmp_path / "training.log").read_text()) != from_the_start


@pytest.mark.parametrize("epoch", [3, 10])
def test_a_validation_that_is_stopped_is_done_when_the_run_goes_on(data, unbroken, tmp_path, epoch):
    end_validation = Checkpoints._end_validation

    def stopped(self, evaluator):
        if self.state.schedule.steps == 2 * epoch:
            interrupted()
        end_validation(self, evaluator)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Checkpoints, "_end_validation", stopped)
        with pytest.raises(Stopped):
            train(BUNDLE, data, output_dir=str(tmp_path), **RUN)
    assert torch.load(tmp_path / "models/last.pt", weights_only=True)["validated_at"] < 2 * epoch
    train(BUNDLE, data, output_dir=str(tmp_path), **RUN)
    assert_same_run(tmp_path, unbroken)


def test_after_an_interruption_the_rate_follows_the_steps_and_not_the_clock(data, tmp_path):
    """At half of its minutes a run has as many steps left as it has taken, however long they take."""
    with pytest.MonkeyPatch.context() as patch:
        at_step(patch, 4, interrupted)
        with pytest.raises(Stopped):
            train(BUNDLE, data, output_dir=str(tmp_path), **{**RUN, "max_minutes": 10, "max_epochs": 1000})
    last = tmp_path / "models/last.pt"
    state = torch.load(last, weights_only=True)
    state["schedule"]["elapsed_s"] = 300.0
    torch.save(state, last)
    record = train(BUNDLE, data, output_dir=str(tmp_path), **{**RUN, "max_minutes": 10, "max_epochs": 1000})
    assert record["outcome"]["steps"] == 8
    assert record["outcome"]["finished"]
    again = train(BUNDLE, data, output_dir=str(tmp_path), **{**RUN, "max_minutes": 10, "max_epochs": 1000})
    assert again["outcome"]["steps"] == 8


def test_a_damaged_checkpoint_is_named(data, tmp_path, unbroken):
    (tmp_path / "models").mkdir()
    (tmp_path / "run.json").write_bytes((unbroken / "run.json").read_bytes())
    (tmp_path / "models/last.pt").write_bytes((unbroken / "models/last.pt").read_bytes()[:1000])
    with pytest.raises(InputError, match=r"FILE_UNREADABLE.*last\.pt"):
        train(BUNDLE, data, output_dir=str(tmp_path), **RUN)


@pytest.mark.parametrize("program", ["medseg", "monai"])
def test_ctrl_c_is_one_line_and_the_same_line_goes_on(data, tmp_path, program):
    given = {**RUN, "max_epochs": 10_000, "val_interval": 10_000, "output_dir": tmp_path / "run"}
    words = [f"{key}={value}" for key, value in given.items()]
    line = ["-m", "medseg", "train", BUNDLE, "--data", data, *words]
    if program == "monai":
        words = [word for key, value in given.items() for word in (f"--{key}", value)]
        config = BUNDLE / "configs/train.json"
        line = ["-m", "monai.bundle", "run", "training", "--config_file", config, "--dataset_dir", data, *words]
    command = [sys.executable, *map(str, line)]
    started = {
        "stdout": subprocess.PIPE,
        "stderr": subprocess.PIPE,
        "text": True,
        "env": {**os.environ, "OMP_NUM_THREADS": "1"},
    }
    with subprocess.Popen(command, **started) as process:
        for text in process.stdout:
            if "at most 10000 epochs" in text:
                process.send_signal(signal.SIGINT)
        error = process.stderr.read()
    assert process.returncode == 130, error
    assert "Traceback" not in error
    (said,) = [text for text in error.splitlines() if text.startswith("stopped: after step ")]
    assert str(tmp_path / "run/models/last.pt") in said
    steps = torch.load(tmp_path / "run/models/last.pt", weights_only=True)["iteration"]
    assert f"after step {steps}," in said


def test_a_stop_waits_for_the_step_that_gradients_are_gathered_for(data, tmp_path):
    given = {**RUN, "max_epochs": 2, "batch_size": 1, "accumulation_steps": 3}
    train(BUNDLE, data, output_dir=str(tmp_path / "a"), **given)
    with pytest.MonkeyPatch.context() as patch:
        at_step(patch, 1, interrupted)
        with pytest.raises(Stopped):
            train(BUNDLE, data, output_dir=str(tmp_path / "b"), **given)
    assert torch.load(tmp_path / "b/models/last.pt", weights_only=True)["iteration"] == 3
    train(BUNDLE, data, output_dir=str(tmp_path / "b"), **given)
    states = [torch.load(tmp_path / run / "models/best.pt", weights_only=True) for run in "ab"]
    assert_same(*states)
