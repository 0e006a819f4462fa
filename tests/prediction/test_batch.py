"""The batch runner: what overlaps, and what several networks share."""

import threading
from copy import deepcopy
from functools import partial
from typing import Any

import pytest
import torch
from oracles.small_batch import outputs, predict_small

from medseg.infer import fused, inferers, running
from medseg.networks import unet
from medseg.prediction import batch, case
from medseg.prediction import run as prediction

LIMIT_S = 120  # until a stage that waits for another gives up; where all is well, nothing waits so long


def happened(event: threading.Event) -> None:
    assert event.wait(LIMIT_S)


def test_reading_segmenting_and_writing_overlap_with_one_case_before_and_one_behind():
    """No case is segmented to its end before the next is being read and the last is being written."""
    n_cases = 10
    began = {stage: [threading.Event() for _ in range(n_cases)] for stage in ("read", "segment", "finish")}
    held, most, lock = set(), [0], threading.Lock()

    def read(case):
        n = int(case["id"])
        with lock:
            held.add(n)
            most[0] = max(most[0], len(held))
        began["read"][n].set()
        if n:
            happened(began["segment"][n - 1])
        return {}, n

    def segment(_, n):
        began["segment"][n].set()
        if n:
            happened(began["finish"][n - 1])
        if n + 1 < n_cases:
            happened(began["read"][n + 1])
        return n

    def finish(case, *_):
        n = int(case["id"])
        began["finish"][n].set()
        if n + 1 < n_cases:
            happened(began["segment"][n + 1])
        with lock:
            held.remove(n)

    cases = [{"id": str(n), "image": ""} for n in range(n_cases)]
    batch.run(batch.read_ahead(cases, read), [segment], finish, n_cases)
    assert not held
    assert most[0] <= 4  # one ahead, one in hand, one waiting to be written and one being written


def test_several_networks_share_the_cases():
    """They work at the same time: each case waits until the other network has one in hand, too."""
    cases = [{"id": str(n), "image": ""} for n in range(20)]
    seen: list[list[str]] = [[], []]
    both = threading.Barrier(2, timeout=LIMIT_S)

    def segment(which, _, prepared):
        both.wait()
        seen[which].append(prepared)

    finished = []
    source = batch.read_ahead(cases, lambda case: ({}, case["id"]))
    batch.run(source, [partial(segment, 0), partial(segment, 1)], lambda case, *_: finished.append(case["id"]), 20)
    assert sorted(seen[0] + seen[1]) == sorted(finished) == sorted(case["id"] for case in cases)
    assert [len(part) for part in seen] == [10, 10]


@pytest.fixture
def one_thread():
    """Two networks with two threads each would wait for one another on a busy machine, for minutes."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def small_network() -> dict[str, Any]:
    """Return a network that is fused, and windows of which a volume takes several."""
    torch.manual_seed(0)
    size = [16, 16, 16]
    network = unet(spatial_dims=3, labels=3, features=[4, 8], patch_size=size, normalization="batch")
    return {"network": network.eval(), "inferer": inferers.window_inferer(patch_size=size, adapt=False)}


def have_two_networks(monkeypatch) -> None:
    """Let a batch have two copies of its network, as on two GPUs; the first cases of both begin together."""
    alone, segmenter = prediction._on_every_device, prediction.segmenter
    both, mine = threading.Barrier(2, timeout=LIMIT_S), threading.local()

    def on_two(pipeline, device):
        return [copy for each in (pipeline, deepcopy(pipeline)) for copy in alone(each, device)]

    def with_the_other(*settings):
        segment = segmenter(*settings)

        def run(*what):
            if not hasattr(mine, "begun"):
                mine.begun = both.wait()
            return segment(*what)

        return run

    monkeypatch.setattr(prediction, "_on_every_device", on_two)
    monkeypatch.setattr(prediction, "segmenter", with_the_other)


@pytest.mark.usefixtures("one_thread")
def test_two_networks_label_as_one_does(data, tmp_path, monkeypatch):
    """Each a copy, fused and run window by window in a thread of its own."""
    how = small_network()
    made: dict[int, torch.nn.Module | None] = {}
    choose = running._choose

    def noted(original, *settings):
        choice = choose(original, *settings)
        made[id(original)] = choice.copy
        return choice

    monkeypatch.setattr(running, "_choose", noted)
    predict_small(data, tmp_path / "one", **how)
    assert len(made) == 1
    have_two_networks(monkeypatch)
    records = predict_small(data, tmp_path / "two", **how)
    assert [(record["case"], record["codes"]) for record in records] == [(f"case_{n:04d}", []) for n in range(5)]
    assert outputs(tmp_path / "two") == outputs(tmp_path / "one")
    assert len(made) == 2  # the first one's copy is kept
    for copy in made.values():
        assert copy is not None
        assert not any(isinstance(module, torch.nn.BatchNorm3d) for module in copy.modules())


@pytest.mark.usefixtures("one_thread")
def test_no_network_is_traced_while_another_runs(data, tmp_path, monkeypatch):
    """While fx traces, calls of modules in every thread go to its tracer, and a case that is run then fails."""
    how = small_network()
    have_two_networks(monkeypatch)
    done: list[str] = []
    trace, infer = fused.traced, case.infer
    monkeypatch.setattr(fused, "traced", lambda network: (done.append("trace"), trace(network))[1])
    monkeypatch.setattr(case, "infer", lambda *what: (done.append("run"), infer(*what))[1])
    records = predict_small(data, tmp_path / "out", **how)
    assert done == ["trace"] * 2 + ["run"] * 5
    assert [record["status"] for record in records] == ["done"] * 5
