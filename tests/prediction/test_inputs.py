"""Done is what has the same content; a path, a name or a time says nothing of it."""

import os
import shutil

import numpy as np
import pytest
from oracles.small_batch import outputs, predict_small, write_cases
from project import SAMPLES, code_of

from medseg.prediction import case as cases
from medseg.prediction import inputs
from medseg.prediction.inputs import content_sha256, read_unchanged, stamp_of
from medseg.prediction.manifest import read_newest


@pytest.fixture
def done(tmp_path):
    """Two cases that were predicted."""
    write_cases(tmp_path / "in", 2)
    predict_small(tmp_path / "in", tmp_path / "out")
    return tmp_path


def predicted(folder):
    """Predict again, and return the cases that were run."""
    before = read_newest(folder / "out")
    predict_small(folder / "in", folder / "out")
    return sorted(name for name, record in read_newest(folder / "out").items() if record != before.get(name))


@pytest.mark.parametrize("times", ["new", "kept"])
def test_another_image_at_the_same_path_is_another_case(done, save, times):
    path = done / "in/case_0001.nii.gz"
    before, labels = path.stat(), outputs(done / "out")
    shutil.move(save("new.nii.gz", np.arange(8 * 9 * 10, dtype=np.int16).reshape(8, 9, 10)), path)
    if times == "kept":  # as `cp -p` and unpacked archives have them
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert predicted(done) == ["case_0001"]
    assert outputs(done / "out")["case_0001.nii.gz"] != labels["case_0001.nii.gz"]
    assert predicted(done) == []


def test_a_slice_more_is_another_series(tmp_path):
    shutil.copytree(SAMPLES / "mr_held_back/images/mr_19", tmp_path / "in/mr_19")
    last = max((tmp_path / "in/mr_19").iterdir())
    last.rename(tmp_path / "last")
    predict_small(tmp_path / "in", tmp_path / "out")
    (tmp_path / "last").rename(last)
    assert predicted(tmp_path) == ["mr_19"]


def test_the_same_data_elsewhere_is_done(done):
    (done / "in").rename(done / "moved")
    shutil.copytree(done / "moved", done / "in")  # with other times, places and owners
    for path in (done / "in").iterdir():
        os.utime(path)
    assert predicted(done) == []
    shutil.copytree(done / "in", done / "elsewhere")
    newest = read_newest(done / "out")
    predict_small(done / "elsewhere", done / "out")
    assert read_newest(done / "out") == newest


def test_content_is_read_only_where_the_file_system_says_that_it_may_be_another(done, monkeypatch):
    def never(path):
        raise AssertionError(path)

    monkeypatch.setattr(inputs, "content_sha256", never)
    assert predicted(done) == []


def test_names_and_order_of_a_series_files_are_no_part_of_its_content(tmp_path):
    source = SAMPLES / "mr_held_back/images/mr_19"
    shutil.copytree(source, tmp_path / "renamed/deeper")
    for n, path in enumerate(sorted((tmp_path / "renamed/deeper").iterdir(), reverse=True)):
        path.rename(path.parent / f"IM{n}")
    assert content_sha256(tmp_path / "renamed") == content_sha256(source)
    assert stamp_of(tmp_path / "renamed") != stamp_of(source)


def test_what_is_written_to_while_it_is_read_has_no_labels(tmp_path, monkeypatch):
    write_cases(tmp_path / "in", 1)
    read = cases.read_volume

    def read_and_change(path, **keywords):
        volume = read(path, **keywords)
        with open(path, "ab") as stream:  # noqa: PTH123
            stream.write(b"more")
        return volume

    monkeypatch.setattr(cases, "read_volume", read_and_change)
    (record,) = predict_small(tmp_path / "in", tmp_path / "out")
    assert (record["status"], record["codes"]) == ("failed", ["FILE_CHANGED"])
    assert outputs(tmp_path / "out") == {}
    path = tmp_path / "in/case_0000.nii.gz"
    assert code_of(read_unchanged, path, path.unlink) == "FILE_MISSING"


def test_a_record_of_an_older_medseg_is_of_no_known_content(done):
    manifest = done / "out/manifest.jsonl"
    manifest.write_text(manifest.read_text().replace('"input": ', '"input_of_later": '))
    assert predicted(done) == ["case_0000", "case_0001"]
