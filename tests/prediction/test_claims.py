"""One line given to several processes: each case is done once, and the dead hold nothing."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from oracles.shared_line import run_together
from project import python_path

from medseg.files import sha256_of
from medseg.prediction.claims import WRITING, Claims, announced, sweep_marks
from medseg.prediction.manifest import Records, append
from medseg.prediction.record import Record

CASES = [{"id": f"case_{n}", "image": f"/{n}"} for n in range(3)]


def claims_on(folder: Path, settles=lambda *_: False) -> Claims:
    return Claims(folder, Records(folder, new=True), settles)


def taken(claims: Claims) -> list[str]:
    """Return what can be taken until all that is left is in other hands."""
    found = []
    for case in claims.take(CASES):
        if case is None:
            break
        found.append(case["id"])
    return found


def test_a_case_is_in_one_hand_at_a_time(tmp_path):
    with claims_on(tmp_path) as first:
        walk = first.take(CASES)
        assert next(walk)["id"] == "case_0"
        with claims_on(tmp_path) as second:
            assert taken(second) == ["case_1", "case_2"]
            assert next(walk) is None
        assert [case["id"] for case in walk] == ["case_1", "case_2"]  # the second one let go
    assert list(tmp_path.iterdir()) == []


def test_what_another_has_done_meanwhile_is_settled(tmp_path):
    with claims_on(tmp_path, lambda _, record: record.status == "done") as claims:
        append(tmp_path, Record("case_0", "done"))
        append(tmp_path, Record("case_1", "failed"))
        assert taken(claims) == ["case_1", "case_2"]
        assert set(claims.settled) == {"case_0"}


def test_a_lock_dies_with_its_owner(tmp_path):
    code = (
        "import sys, os, time\n"
        "from medseg.files import write_text\n"
        "from medseg.prediction.claims import Claims\n"
        "from medseg.prediction.manifest import Records\n"
        f"folder = {str(tmp_path)!r}\n"
        "claims = Claims(folder, Records(folder, new=True), lambda *_: False)\n"
        f"walk = claims.take({CASES!r})\n"
        "next(walk)\n"
        "with claims.announcing('case_0'): write_text(folder + '/case_0.nii.gz', 'labels')\n"
        "print('taken', flush=True)\n"
        "sys.stdin.read()\n"
    )
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "env": python_path()}
    owner = subprocess.Popen([sys.executable, "-c", code], **pipes)
    assert owner.stdout.readline() == "taken\n"
    with claims_on(tmp_path) as claims:
        assert taken(claims) == ["case_1", "case_2"]
    owner.send_signal(signal.SIGKILL)
    owner.communicate()
    assert announced(tmp_path, "case_0") == {sha256_of(tmp_path / "case_0.nii.gz")}
    with claims_on(tmp_path) as claims:
        assert taken(claims) == ["case_0", "case_1", "case_2"]


def test_marks_that_say_nothing_are_swept_and_those_in_use_are_not(tmp_path):
    for name, content in (("left", b""), ("recorded", b"1"), ("unnamed", b"1")):
        (tmp_path / f"{WRITING}{name}").write_bytes(content)
    with claims_on(tmp_path) as claims:
        next(claims.take(CASES))
        sweep_marks(tmp_path, {"recorded", "case_0"})
        assert {path.name for path in tmp_path.iterdir()} == {f"{WRITING}case_0", f"{WRITING}unnamed"}


@pytest.mark.parametrize("jobs", [1, 2])
def test_three_processes_given_one_line_do_each_case_once_though_one_is_killed(tmp_path, jobs):
    found = run_together(tmp_path, cases=60, processes=3, kills=1, jobs=jobs)
    assert found == {"cases": 60, "survivors": 2, "twice": 0, "missing": 0, "different": 0, "left": 0}
