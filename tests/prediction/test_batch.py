"""The batch runner: what overlaps, what a case's failure costs the others, and how a batch is stopped."""

import errno
import json
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
from oracles import batch_faults
from oracles.small_batch import predict_small, write_cases
from project import BUNDLES, ROOT, SAMPLES, TESTS, python_path

from medseg import InputError
from medseg.errors.exceptions import CasesFailed
from medseg.prediction import batch
from medseg.prediction.outputs import WRITING
from medseg.prediction.reader_processes import read_in_processes

BUNDLE = BUNDLES / "hippocampus_mr_unet3d"


@pytest.fixture
def data(tmp_path) -> Path:
    write_cases(tmp_path / "in", 5)
    return tmp_path / "in"


def outputs(folder: Path) -> dict[str, bytes]:
    """Return what a folder holds beside its manifest and the marks of what is being written."""
    besides = ("manifest.jsonl", WRITING)
    return {path.name: path.read_bytes() for path in folder.iterdir() if not path.name.startswith(besides)}


def lines(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "manifest.jsonl").read_text().splitlines()]


def test_reading_segmenting_and_writing_overlap_with_one_case_before_and_one_behind():
    """Each stage takes 50 ms: 10 cases would take 1.5 s one after another."""
    held, most, lock = set(), [0], threading.Lock()

    def read(case):
        with lock:
            held.add(case["id"])
            most[0] = max(most[0], len(held))
        time.sleep(0.05)
        return {}, case["id"]

    def segment(_, prepared):
        time.sleep(0.05)
        return prepared

    def finish(case, *_):
        time.sleep(0.05)
        with lock:
            held.remove(case["id"])

    start_s = time.perf_counter()
    cases = [{"id": str(n), "image": ""} for n in range(10)]
    batch.run(batch.read_ahead(cases, read), [segment], finish, 10)
    assert time.perf_counter() - start_s < 1.1
    assert not held
    assert most[0] <= 4  # one ahead, one in hand, one waiting to be written and one being written


def test_several_networks_share_the_cases():
    cases = [{"id": str(n), "image": ""} for n in range(20)]
    seen: list[list[str]] = [[], []]

    def segment(which, _, prepared):
        time.sleep(0.01)
        seen[which].append(prepared)

    finished = []
    source = batch.read_ahead(cases, lambda case: ({}, case["id"]))
    batch.run(source, [partial(segment, 0), partial(segment, 1)], lambda case, *_: finished.append(case["id"]), 20)
    assert sorted(seen[0] + seen[1]) == sorted(finished) == sorted(case["id"] for case in cases)
    assert min(map(len, seen)) > 3


def test_two_networks_label_as_one_does(data, tmp_path, monkeypatch):
    from medseg.prediction import run as prediction

    predict_small(data, tmp_path / "one")
    alone = prediction._on_every_device
    monkeypatch.setattr(prediction, "_on_every_device", lambda *args: alone(*args) * 2)
    records = predict_small(data, tmp_path / "two")
    assert [record["case"] for record in records] == [f"case_{n:04d}" for n in range(5)]
    assert outputs(tmp_path / "two") == outputs(tmp_path / "one")


@contextmanager
def fault(folder: Path, at: int, number: int):
    """Let the `at`-th thing done to `folder` fail: make, open, write (half of it), sync, rename, append."""
    calls: list[str] = []
    lock = threading.Lock()

    def hit(name):
        with lock:
            calls.append(name)
            if len(calls) == at:
                raise OSError(number, os.strerror(number), "Secret^Patient")

    real = {name: getattr(os, name) for name in ("open", "write", "fsync")}
    path_open, replace = pathlib.Path.open, pathlib.Path.replace

    class Stream:
        def __init__(self, stream):
            self.stream = stream

        def __getattr__(self, name):
            return getattr(self.stream, name)

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.stream.close()

        def write(self, block):
            try:
                hit("stream.write")
            except OSError:
                self.stream.write(bytes(block)[: len(bytes(block)) // 2])
                raise
            return self.stream.write(block)

    def opened(path, mode="r", *args, **kwargs):
        if folder not in (path, *path.parents) or mode in ("r", "rb"):
            return path_open(path, mode, *args, **kwargs)
        hit(f"open {mode}")
        return Stream(path_open(path, mode, *args, **kwargs))

    def os_open(path, *args, **kwargs):
        if str(path).startswith(str(folder)):
            hit("os.open")
        return real["open"](path, *args, **kwargs)

    def os_write(descriptor, block):
        try:
            hit("os.write")
        except OSError:
            real["write"](descriptor, block[: len(block) // 2])
            raise
        return real["write"](descriptor, block)

    def fsync(descriptor):
        hit("os.fsync")
        real["fsync"](descriptor)

    def renamed(path, target):
        hit("replace")
        return replace(path, target)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "open", os_open)
        patch.setattr(os, "write", os_write)
        patch.setattr(os, "fsync", fsync)
        patch.setattr(pathlib.Path, "open", opened)
        patch.setattr(pathlib.Path, "replace", renamed)
        yield calls


def outcome(data: Path, out: Path) -> tuple[str, str]:
    """Return how a batch ended, and what it said."""
    try:
        records = predict_small(data, out)
    except InputError as error:
        return "refused", str(error)
    except CasesFailed as error:
        return "stopped", str(error)
    return "failed", json.dumps([record for record in records if record["status"] == "failed"])


@pytest.mark.parametrize(
    ("number", "code"),
    [(errno.ENOSPC, "OUTPUT_NO_SPACE"), (errno.EIO, "OUTPUT_UNWRITABLE"), (errno.EROFS, "OUTPUT_UNWRITABLE")],
    ids=("no space", "broken disk", "read-only"),
)
def test_a_fault_in_any_write_is_told_by_its_code_and_mended_by_a_rerun(data, tmp_path, number, code):
    for path in sorted(data.iterdir())[2:]:
        path.unlink()
    predict_small(data, tmp_path / "whole")
    whole = outputs(tmp_path / "whole")
    ends: dict[str, list[str]] = {"refused": [], "stopped": [], "failed": []}
    at = 0
    while True:
        at += 1
        out = tmp_path / f"out_{at}"
        with fault(out, at, number) as calls:
            how, said = outcome(data, out)
        if len(calls) < at:
            break
        assert code in said
        assert "Secret" not in said
        ends[how].append(calls[at - 1])
        found = outputs(out) if out.exists() else {}
        assert found.items() <= whole.items()  # whole, or not there
        assert not (found and how == "refused")
        records = predict_small(data, out)
        assert [record["status"] for record in records] == ["done"] * 2
        assert outputs(out) == whole
    assert {kind: set(found) for kind, found in ends.items()} == {
        "refused": {"os.open", "open wb", "stream.write", "open ab"},
        "failed": {"os.open", "open wb", "stream.write", "open rb+", "os.fsync", "replace"},
        "stopped": {"os.open", "os.write", "os.fsync"},
    }


def test_a_folder_that_cannot_be_made_is_refused_in_one_line(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    line = [sys.executable, "-m", "medseg.cli", "predict", BUNDLE, SAMPLES / "mr_held_back", tmp_path / "file/out"]
    done = subprocess.run(list(map(str, line)), capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("error: OUTPUT_UNWRITABLE")
    assert done.stderr.count("\n") == 1


def test_a_manifest_that_breaks_off_ends_the_batch_with_status_1(data, tmp_path, monkeypatch):
    from typer.testing import CliRunner

    from medseg import api
    from medseg.cli.commands import app

    def stop(*_, **__):
        raise CasesFailed("OUTPUT_NO_SPACE: no")

    monkeypatch.setattr(api, "predict", stop)
    done = CliRunner().invoke(app, ["predict", str(BUNDLE), str(data), str(tmp_path)])
    assert done.exit_code == 1
    assert "error: OUTPUT_NO_SPACE" in done.output


def test_parts_of_the_dead_are_swept_and_those_of_the_living_are_not(tmp_path):
    from medseg.files import atomic, sweep

    (tmp_path / ".part-0000-dead.nii.gz").write_bytes(b"half")
    with atomic(tmp_path / "living") as part:
        part.write_text("all of it")
        sweep(tmp_path)
        assert [path.name for path in tmp_path.iterdir()] == [part.name]
    assert (tmp_path / "living").read_text() == "all of it"


@pytest.mark.parametrize(("number", "error"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)])
def test_a_signal_drops_the_case_in_hand_and_keeps_what_is_done(data, tmp_path, number, error, request):
    count = [0]

    def inferer(inputs, network):
        count[0] += 1
        if count[0] == 3:
            signal.raise_signal(number)
        return network(inputs)

    if number == signal.SIGINT:  # a test run in the background ignores it
        ignored = signal.signal(number, signal.default_int_handler)
        request.addfinalizer(lambda: signal.signal(number, ignored))
    before, threads = signal.getsignal(number), set(threading.enumerate())
    with pytest.raises(error):
        predict_small(data, tmp_path / "out", inferer=inferer)
    assert signal.getsignal(number) == before
    assert {thread.name for thread in set(threading.enumerate()) - threads} <= {"tqdm_monitor"}  # one a process
    assert [line["case"] for line in lines(tmp_path / "out")] == ["case_0000", "case_0001"]
    assert set(outputs(tmp_path / "out")) == {"case_0000.nii.gz", "case_0001.nii.gz"}
    predict_small(data, tmp_path / "out")
    assert [line["case"] for line in lines(tmp_path / "out")] == [f"case_{n:04d}" for n in range(5)]


def children(pid: int) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            if int(path.read_text().rsplit(")", 1)[1].split()[1]) == pid:
                found.append(int(path.parent.name))
        except (OSError, ValueError):
            continue
    return found


def gone(pids: list[int], within_s: float = 10) -> bool:
    end = time.monotonic() + within_s
    while any(Path(f"/proc/{pid}").exists() for pid in pids):
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_the_command_ends_with_one_line_and_its_processes_with_it(data, tmp_path, weights, number, status):
    for n in range(400):
        (data / f"more_{n}.nii.gz").symlink_to(data / "case_0000.nii.gz")
    line = [sys.executable, "-m", "medseg.cli", "predict", BUNDLE, data, tmp_path / "out", "--weights", weights]
    line += ["--device", "cpu", "--jobs", "2"]
    listening = "import signal, runpy; signal.signal(signal.SIGINT, signal.default_int_handler); "
    line[1:3] = ["-c", listening + "runpy.run_module('medseg.cli', run_name='__main__')"]  # as in a foreground
    process = subprocess.Popen(list(map(str, line)), stderr=subprocess.PIPE, text=True)
    manifest = tmp_path / "out/manifest.jsonl"
    while process.poll() is None and not (manifest.is_file() and manifest.stat().st_size):
        time.sleep(0.05)
    readers = children(process.pid)
    assert len(readers) == 2
    process.send_signal(number)
    assert process.wait(30) == status
    assert process.stderr is not None
    assert process.stderr.read().startswith("stopped: ")
    assert gone(readers)
    done = [line["case"] for line in lines(tmp_path / "out")]
    assert {f"{name}.nii.gz" for name in done} == set(outputs(tmp_path / "out"))
    assert 0 < len(done) < 400


def cases(*names: str) -> list[dict[str, str]]:
    return [{"id": name, "image": name} for name in names]


@pytest.mark.skipif(os.name == "nt", reason="no reader processes on Windows")
def test_a_reader_that_dies_or_hangs_costs_its_own_case_alone():
    names = ["a", "segfault", "b", "exit", "c", "killed", "bad", "hang", "deaf", "d"]
    found = list(read_in_processes(cases(*names), batch_faults.read, processes=2, timeout_s=3, threads=1))
    assert sorted(case["id"] for case, _, _ in found) == sorted(names)
    by_name = {case["id"]: (record, prepared) for case, record, prepared in found}
    for name, code, message in [
        ("segfault", "READER_CRASHED", "SIGSEGV"),
        ("exit", "READER_CRASHED", "exit status 3"),
        ("killed", "READER_CRASHED", "SIGKILL"),
        ("hang", "READER_HUNG", "3 s"),
        ("deaf", "READER_HUNG", "3 s"),
        ("bad", "CASE_FAILED", "RuntimeError at oracles.batch_faults"),
    ]:
        record, prepared = by_name[name]
        assert (record["case"], record["status"], record["codes"], prepared) == (name, "failed", [code], None)
        assert message in record["message"]
    for name in "abcd":
        assert by_name[name][1].shape == (3, 4, 5)
        by_name[name][1][0] = 7  # may be written to, as what a thread has read


def nothing_to_import(case):
    return case


@pytest.mark.skipif(os.name == "nt", reason="no reader processes on Windows")
def test_readers_that_do_not_start_are_the_call_s_fault(monkeypatch):
    with pytest.raises(InputError, match="jobs 2"):
        list(read_in_processes(cases("a"), lambda case: case, processes=2, timeout_s=3, threads=1))
    monkeypatch.setattr(sys, "path", [path for path in sys.path if not Path(path) not in (ROOT, TESTS)])
    with pytest.raises(InputError, match="does not start"):
        list(read_in_processes(cases("a"), nothing_to_import, processes=2, timeout_s=30, threads=1))


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
def test_readers_end_when_their_parent_is_killed():
    script = (
        "from oracles import batch_faults\nfrom medseg.prediction.reader_processes import read_in_processes\n"
        "cases = [{'id': name, 'image': name} for name in ('a', 'b', 'deaf', 'hang')]\n"
        "for case, *_ in read_in_processes(cases, batch_faults.read, processes=2, timeout_s=600, threads=1):\n"
        "    print(case['id'], flush=True)"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, env=python_path(), text=True)
    assert parent.stdout is not None
    assert {parent.stdout.readline().strip() for _ in range(2)} == {"a", "b"}
    readers = children(parent.pid)
    assert len(readers) == 2
    time.sleep(0.5)  # until both are past hearing
    parent.kill()
    parent.wait()
    assert gone(readers)
