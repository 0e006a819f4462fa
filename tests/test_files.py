"""Files that are there whole or not at all."""

import json
import os
import stat

import pytest

from medseg.files import append_line, atomic, write_csv, write_json


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def fail_half_way():
        with atomic(path) as part:
            part.write_text("half")
            raise OSError("no space left")

    with pytest.raises(OSError, match="no space"):
        fail_half_way()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_json_has_no_nan(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "a.json", {"dice": float("nan")})
    assert not list(tmp_path.iterdir())


def test_csv(tmp_path):
    write_csv(tmp_path / "a.csv", [{"a": 1, "b": "x,y"}, {"a": 2, "b": ""}])
    assert (tmp_path / "a.csv").read_text() == 'a,b\n1,"x,y"\n2,\n'


def test_a_cut_off_line_does_not_swallow_the_next(tmp_path):
    path = tmp_path / "m.jsonl"
    append_line(path, {"a": 1})
    with path.open("ab") as stream:
        stream.write(b'{"a": 2')
    append_line(path, {"a": 3})
    lines = path.read_text().splitlines()
    assert json.loads(lines[0]) == {"a": 1}
    assert json.loads(lines[2]) == {"a": 3}


def test_a_rename_is_synced_to_its_folder(tmp_path, monkeypatch):
    synced = []
    sync = os.fsync

    def note(descriptor):
        synced.append(stat.S_ISDIR(os.fstat(descriptor).st_mode))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", note)
    write_csv(tmp_path / "a.csv", [{"a": 1}])
    assert synced == [False] + [True] * (os.name != "nt")


def test_parts_of_the_dead_are_swept_and_those_of_the_living_are_not(tmp_path):
    from medseg.files import atomic, sweep

    (tmp_path / ".part-0000-dead.nii.gz").write_bytes(b"half")
    with atomic(tmp_path / "living") as part:
        part.write_text("all of it")
        sweep(tmp_path)
        assert [path.name for path in tmp_path.iterdir()] == [part.name]
    assert (tmp_path / "living").read_text() == "all of it"
