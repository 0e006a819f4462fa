"""Writes that fail: told by their code, nothing half-written, mended by a rerun."""

import errno
import json
import os
import pathlib
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest
from oracles.small_batch import BUNDLE, outputs, predict_small
from project import SAMPLES

from medseg import InputError
from medseg.errors.exceptions import CasesFailed


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
    failed = [record for record in records if record["status"] == "failed"]
    return "failed" if failed else "done", json.dumps(failed)


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
    ends: dict[str, list[str]] = {"refused": [], "stopped": [], "failed": [], "done": []}
    at = 0
    while True:
        at += 1
        out = tmp_path / f"out_{at}"
        with fault(out, at, number) as calls:
            how, said = outcome(data, out)
        if len(calls) < at:
            break
        assert code in said or how == "done"
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
        "failed": {"os.open", "open wb", "open ab", "stream.write", "open rb+", "os.fsync", "replace"},
        "stopped": {"os.open", "os.write", "os.fsync"},
        "done": {"os.open"},  # of a case's mark: without its lock, another run may do the case too
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
