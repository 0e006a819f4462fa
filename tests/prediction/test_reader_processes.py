"""Reader processes: what a damaged file does to one costs its own case alone."""

import importlib
import os
import subprocess
import sys
import time
from multiprocessing.connection import wait
from pathlib import Path

import pytest
from oracles import batch_faults
from oracles.processes import children, gone
from oracles.small_batch import outputs, predict_small
from project import python_path

from medseg import InputError
from medseg.prediction import reader_processes
from medseg.prediction.reader_processes import read_in_processes

LIMIT_S = 300  # until a test gives up; where all is well, nothing waits so long
TIMEOUT_S = 600.0  # more than any machine takes; the clock below is set forward by it


def cases(folder: Path, *names: str) -> list[dict[str, str]]:
    return [{"id": name, "image": str(folder / name)} for name in names]


class Clock:
    """Time for `reader_processes` that stands still until every reader that is left hangs, and then jumps.

    How long a process takes to start or to read on a busy machine does not count: none is killed for it.
    """

    def __init__(self, *marks: Path) -> None:
        self.now_s, self.marks = 0.0, marks

    def monotonic(self) -> float:
        return self.now_s

    def wait(self, sockets, timeout_s: float):
        end = time.monotonic() + LIMIT_S
        while time.monotonic() < end:
            ready = wait(sockets, min(timeout_s, 0.05))
            if ready or timeout_s == 0:
                return ready
            if all(mark.exists() for mark in self.marks):
                for mark in self.marks:
                    mark.unlink()
                self.now_s += timeout_s
                return []
        raise AssertionError("no reader answers, and not all that are left hang")


@pytest.mark.skipif(os.name == "nt", reason="no reader processes on Windows")
def test_a_reader_that_dies_or_hangs_costs_its_own_case_alone(tmp_path, monkeypatch):
    names = ["a", "segfault", "b", "exit", "c", "killed", "bad", "hang", "deaf", "d"]
    clock = Clock(tmp_path / "hang", tmp_path / "deaf")
    monkeypatch.setattr(reader_processes, "time", clock)
    monkeypatch.setattr(reader_processes, "wait", clock.wait)
    how = {"processes": 2, "timeout_s": TIMEOUT_S, "threads": 1}
    found = list(read_in_processes(cases(tmp_path, *names), batch_faults.read, **how))
    assert clock.now_s == TIMEOUT_S  # not before, and both at once
    assert sorted(case["id"] for case, _, _ in found) == sorted(names)
    by_name = {case["id"]: (record, prepared) for case, record, prepared in found}
    for name, code, message in [
        ("segfault", "READER_CRASHED", "SIGSEGV"),
        ("exit", "READER_CRASHED", "exit status 3"),
        ("killed", "READER_CRASHED", "SIGKILL"),
        ("hang", "READER_HUNG", "600 s"),
        ("deaf", "READER_HUNG", "600 s"),
        ("bad", "CASE_FAILED", "RuntimeError at oracles.batch_faults"),
    ]:
        record, prepared = by_name[name]
        assert (record.case, record.status, list(record.codes), prepared) == (name, "failed", [code], None)
        assert message in record.message
    for name in "abcd":
        assert by_name[name][1].shape == (3, 4, 5)
        by_name[name][1][0] = 7  # may be written to, as what a thread has read


@pytest.mark.skipif(os.name == "nt", reason="no reader processes on Windows")
def test_readers_that_do_not_start_are_the_call_s_fault(tmp_path, monkeypatch):
    how = {"processes": 2, "timeout_s": TIMEOUT_S, "threads": 1}
    with pytest.raises(InputError, match="jobs 2"):
        list(read_in_processes(cases(tmp_path, "a"), lambda case: case, **how))
    (tmp_path / "only_here.py").write_text("def read(case):\n    return case\n")
    with monkeypatch.context() as here:
        here.syspath_prepend(tmp_path)
        read = importlib.import_module("only_here").read
    with pytest.raises(InputError, match="does not start"):
        list(read_in_processes(cases(tmp_path, "a"), read, **how))


@pytest.mark.skipif(os.name == "nt", reason="no reader processes on Windows")
def test_processes_read_as_the_thread_does(data, tmp_path):
    from monai.transforms import Compose

    from medseg.preprocess.pipeline import preprocessing

    (data / "bad.nii.gz").write_bytes(b"not gzip")
    (data / "segfault.nii.gz").symlink_to(data / "case_0000.nii.gz")
    steps = preprocessing(intensity={"kind": "mr"}, patch_size=[8, 8, 8])
    faulty = Compose([batch_faults.Misbehave(), *steps.transforms])
    records = predict_small(data, tmp_path / "processes", jobs=2, preprocessing=faulty)
    assert [record["codes"] for record in records] == [["FILE_UNREADABLE"], *[[]] * 5, ["READER_CRASHED"]]
    assert set(records[1]["timings_s"]) == {"read", "preprocess", "infer", "postprocess", "write"}
    (data / "segfault.nii.gz").unlink()
    predict_small(data, tmp_path / "thread")
    assert outputs(tmp_path / "processes") == outputs(tmp_path / "thread")


@pytest.mark.skipif(os.name == "nt", reason="no reader processes on Windows")
def test_preprocessing_that_cannot_be_sent_stays_here(data, tmp_path):
    from monai.transforms import Compose

    from medseg.preprocess.pipeline import preprocessing

    steps = preprocessing(intensity={"kind": "mr"}, patch_size=[8, 8, 8])
    records = predict_small(
        data, tmp_path / "out", jobs=2, preprocessing=Compose([lambda data: data, *steps.transforms])
    )
    assert [record["status"] for record in records] == ["done"] * 5


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel ends them there")
def test_readers_end_when_their_parent_is_killed(tmp_path):
    script = (
        "import sys\nfrom oracles import batch_faults\n"
        "from medseg.prediction.reader_processes import read_in_processes\n"
        "cases = [{'id': name, 'image': f'{sys.argv[1]}/{name}'} for name in ('a', 'b', 'deaf', 'hang')]\n"
        "for case, *_ in read_in_processes(cases, batch_faults.read, processes=2, timeout_s=3600, threads=1):\n"
        "    print(case['id'], flush=True)"
    )
    command = [sys.executable, "-c", script, tmp_path]
    parent = subprocess.Popen(command, stdout=subprocess.PIPE, env=python_path(), text=True)
    assert parent.stdout is not None
    assert {parent.stdout.readline().strip() for _ in range(2)} == {"a", "b"}
    end = time.monotonic() + LIMIT_S
    while {path.name for path in tmp_path.iterdir()} != {"deaf", "hang"}:  # until both are past hearing
        assert time.monotonic() < end
        time.sleep(0.01)
    readers = children(parent.pid)
    assert len(readers) == 2
    parent.kill()
    parent.wait()
    assert gone(readers)
