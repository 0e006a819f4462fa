"""What a data set says of itself, in the Decathlon's words and in nnU-Net's."""

import json

from project import code_of

from medseg.cases.described import describe


def written(folder, **listing):
    (folder / "dataset.json").write_text(json.dumps(listing))
    return describe(folder)


def test_the_decathlons_words(tmp_path):
    found = written(tmp_path, name="A", modality={"0": "CT"}, labels={"0": "background", "2": "b", "1": "a"})
    assert (found.name, found.channels, dict(found.labels)) == ("A", ("CT",), {1: "a", 2: "b"})
    assert (dict(found.regions), found.ignore_label) == ({}, None)


def test_nnunets_words(tmp_path):
    found = written(
        tmp_path, channel_names={"1": "T2", "0": "T1"}, labels={"background": 0, "a": 1, "b": 2, "ignore": 3}
    )
    assert (found.channels, dict(found.labels), found.ignore_label) == (("T1", "T2"), {1: "a", 2: "b"}, 3)


def test_regions(tmp_path):
    labels = {"background": 0, "whole": [1, 2, 3], "core": [2, 3], "enhancing": [3], "ignore": 4}
    found = written(tmp_path, channel_names={"0": "T1"}, labels=labels)
    assert dict(found.regions) == {"whole": (1, 2, 3), "core": (2, 3), "enhancing": (3,)}
    assert list(found.labels) == [1, 2, 3]
    assert found.labels[3] == "enhancing"
    assert found.ignore_label == 4


def test_nothing_said_and_what_is_no_listing(tmp_path):
    assert describe(tmp_path).labels == {}
    (tmp_path / "dataset.json").write_text("[]")
    assert code_of(describe, tmp_path) == "FILE_UNREADABLE"
    (tmp_path / "dataset.json").write_text('{"labels": {"a": "b"}}')
    assert code_of(describe, tmp_path) == "FILE_UNREADABLE"
