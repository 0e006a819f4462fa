"""A batch that is stopped by a signal keeps what is done and leaves no process behind."""

import signal
import subprocess
import sys
import threading
import time

import pytest
from oracles.processes import children, gone
from oracles.small_batch import BUNDLE, lines, outputs, predict_small


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
    assert process.wait(300) == status
    assert process.stderr is not None
    assert process.stderr.read().splitlines()[-1].startswith("stopped: ")
    assert gone(readers)
    done = [line["case"] for line in lines(tmp_path / "out")]
    assert {f"{name}.nii.gz" for name in done} == set(outputs(tmp_path / "out"))
    assert 0 < len(done) < 400
