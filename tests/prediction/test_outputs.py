"""Nothing of the user's is ever written over: inputs, labels, and files that medseg did not write."""

import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from oracles.small_batch import predict_small, write_cases
from project import BUNDLES, SAMPLES

from medseg import InputError, predict
from medseg.files import sha256_of
from medseg.prediction.claims import mark_of
from medseg.prediction.manifest import append, read_newest

BUNDLE = BUNDLES / "hippocampus_mr_unet3d"


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def data(tmp_path) -> Path:
    """A labelled data set, with one DICOM case."""
    folder = tmp_path / "data"
    shutil.copytree(SAMPLES / "mr_held_back", folder)
    return folder


@pytest.mark.parametrize(
    ("read", "written"),
    [
        ("images", "images"),
        ("images/mr_16.nii.gz", "images"),
        (".", "images"),
        (".", "labels"),
        ("images/mr_19", "images/mr_19"),
        ("images/mr_19", "images/mr_19/results"),
        (".", "images/mr_19/results"),
    ],
)
def test_results_never_go_among_images_or_labels(data, weights, read, written):
    before = contents(data)
    with pytest.raises(InputError, match="OUTPUT_WOULD_OVERWRITE"):
        predict(BUNDLE, data / read, data / written, weights=weights, device="cpu")
    assert contents(data) == before


def test_a_link_to_the_images_is_their_folder(data, weights, tmp_path):
    (tmp_path / "elsewhere").symlink_to(data / "images")
    before = contents(data)
    with pytest.raises(InputError, match="OUTPUT_WOULD_OVERWRITE"):
        predict(BUNDLE, data, tmp_path / "elsewhere", weights=weights, device="cpu")
    assert contents(data) == before


@pytest.mark.parametrize("kind", ["file", "dangling link", "folder"])
def test_what_the_manifest_does_not_name_is_not_replaced(tmp_path, kind):
    write_cases(tmp_path / "in", 2)
    predict_small(tmp_path / "in", tmp_path / "out")
    path = tmp_path / "other" / "case_0001.nii.gz"
    path.parent.mkdir()
    if kind == "file":
        path.write_bytes(b"drawn by hand")
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to("nowhere")
    with pytest.raises(InputError, match=r"OUTPUT_WOULD_OVERWRITE.*case_0001\.nii\.gz"):
        predict_small(tmp_path / "in", path.parent)
    assert list(path.parent.iterdir()) == [path]
    assert kind != "file" or path.read_bytes() == b"drawn by hand"


def test_what_a_killed_or_failed_run_left_is_our_own(tmp_path):
    """Killed before its record, right after it, or ended by a failure: the next run goes on in each case."""
    write_cases(tmp_path / "in", 3)
    predict_small(tmp_path / "in", tmp_path / "whole")
    out = tmp_path / "out"
    out.mkdir()
    whole = contents(tmp_path / "whole")
    (out / "case_0000.nii.gz").write_bytes(b"before its record")
    mark_of(out, "case_0000").write_text(sha256_of(out / "case_0000.nii.gz") + "\n")
    predict_small(tmp_path / "in/case_0001.nii.gz", out)
    mark_of(out, "case_0001").write_text(sha256_of(out / "case_0001.nii.gz") + "\n")
    append(out, replace(read_newest(out)["case_0001"], status="failed", outputs=()))
    assert [record["status"] for record in predict_small(tmp_path / "in", out)] == ["done"] * 3
    found = contents(out)
    found.pop("manifest.jsonl"), whole.pop("manifest.jsonl")
    assert found == whole


def test_a_folder_of_nested_series_or_of_links_is_input_too(data, weights, tmp_path):
    nested = tmp_path / "nested"
    shutil.copytree(data / "images/mr_19", nested / "patient/series")
    links = tmp_path / "links"
    links.mkdir()
    (links / "case").symlink_to(data / "images/mr_19")
    for folder in (nested, links):
        before = sorted(folder.rglob("*"))
        with pytest.raises(InputError, match="OUTPUT_WOULD_OVERWRITE"):
            predict(BUNDLE, folder, folder, weights=weights, device="cpu")
        assert sorted(folder.rglob("*")) == before


def test_a_failed_write_leaves_no_claim_on_what_comes_later(tmp_path, monkeypatch):
    from medseg.write import results

    def full(*_, **__):
        raise InputError("OUTPUT_NO_SPACE", "the disk is full")

    write_cases(tmp_path / "in", 1)
    monkeypatch.setattr(results, "write_label_map", full)
    (record,) = predict_small(tmp_path / "in", tmp_path / "out")
    assert record["codes"] == ["OUTPUT_NO_SPACE"]
    monkeypatch.undo()
    (tmp_path / "out/case_0000.nii.gz").write_bytes(b"drawn by hand")
    with pytest.raises(InputError, match="OUTPUT_WOULD_OVERWRITE"):
        predict_small(tmp_path / "in", tmp_path / "out")
    assert (tmp_path / "out/case_0000.nii.gz").read_bytes() == b"drawn by hand"


def test_a_label_map_that_was_corrected_by_hand_is_kept(tmp_path):
    write_cases(tmp_path / "in", 2)
    predict_small(tmp_path / "in", tmp_path / "out")
    whole = contents(tmp_path / "out")
    (tmp_path / "out/case_0001.nii.gz").write_bytes(b"corrected by hand")
    first, second = predict_small(tmp_path / "in", tmp_path / "out")
    assert (first["codes"], second["codes"]) == ([], ["OUTPUT_KEPT"])
    found = contents(tmp_path / "out")
    (kept,) = found.keys() - whole.keys()
    assert re.fullmatch(r"kept/case_0001-[0-9a-f]{8}\.nii\.gz", kept)
    assert found[kept] == b"corrected by hand"
    assert found["case_0001.nii.gz"] == whole["case_0001.nii.gz"]


def test_a_case_that_fails_now_has_no_labels_of_before(tmp_path):
    """Its image was replaced by one that cannot be read: the old labels are not the case's any more."""
    write_cases(tmp_path / "in", 2)
    predict_small(tmp_path / "in", tmp_path / "out")
    whole = contents(tmp_path / "out")
    (tmp_path / "in/case_0001.nii.gz").write_bytes(b"damaged")
    _, failed = predict_small(tmp_path / "in", tmp_path / "out")
    assert failed["codes"] == ["FILE_UNREADABLE", "OUTPUT_KEPT"]
    found = contents(tmp_path / "out")
    assert "case_0001.nii.gz" not in found
    assert [content for name, content in found.items() if name.startswith("kept/")] == [whole["case_0001.nii.gz"]]


def test_results_of_another_model_do_not_stay_beside_new_ones(weights, tmp_path):
    """Of the same model they do: formats may be asked for one after the other."""
    case = SAMPLES / "mr_held_back/images/mr_19"

    def predicted(**how):
        (record,) = predict(BUNDLE, case, tmp_path, weights=weights, device="cpu", **how)
        return record["codes"], sorted(path.name for path in tmp_path.iterdir())

    both = ["manifest.jsonl", "mr_19.nii.gz", "mr_19.seg.dcm"]
    predicted()
    assert predicted(formats="dicom-seg") == ([], both)
    assert predicted(formats="nifti", precision="float32") == (["OUTPUT_KEPT"], ["kept", *both[:2]])


@pytest.mark.parametrize("was", ["recorded", "killed"])
def test_what_was_corrected_after_a_run_that_was_ended_is_not_lost(tmp_path, was):
    """The mark of the run that was ended says which bytes are its own, not that all that comes there are."""
    write_cases(tmp_path / "in", 1)
    out = tmp_path / "out"
    predict_small(tmp_path / "in", out)
    path = out / "case_0000.nii.gz"
    mark_of(out, "case_0000").write_text(sha256_of(path) + "\n")
    path.write_bytes(b"corrected by hand")
    if was == "killed":  # before its first record
        (out / "manifest.jsonl").unlink()
        with pytest.raises(InputError, match="OUTPUT_WOULD_OVERWRITE"):
            predict_small(tmp_path / "in", out)
        assert path.read_bytes() == b"corrected by hand"
    else:
        (record,) = predict_small(tmp_path / "in", out)
        assert record["codes"] == ["OUTPUT_KEPT"]
        assert [kept.read_bytes() for kept in (out / "kept").iterdir()] == [b"corrected by hand"]


@pytest.mark.parametrize("happens", ["changed", "failed"])
def test_what_cannot_be_moved_out_of_the_way_fails_its_case_alone(tmp_path, happens):
    """A file of the user's is called as the folder would be: it stays, and so do the results."""
    write_cases(tmp_path / "in", 3)
    predict_small(tmp_path / "in", tmp_path / "out")
    (tmp_path / "out/kept").write_bytes(b"the user's")
    if happens == "changed":
        (tmp_path / "out/case_0001.nii.gz").write_bytes(b"corrected by hand")
    else:
        (tmp_path / "in/case_0001.nii.gz").write_bytes(b"damaged")
    (tmp_path / "out/case_0002.nii.gz").unlink()
    before = contents(tmp_path / "out")
    records = predict_small(tmp_path / "in", tmp_path / "out")
    assert [record["status"] for record in records] == ["done", "failed", "done"]
    assert records[1]["codes"] == ["OUTPUT_UNWRITABLE"]
    found = contents(tmp_path / "out")
    assert {name: found[name] for name in before if name != "manifest.jsonl"} == {
        name: content for name, content in before.items() if name != "manifest.jsonl"
    }


def test_results_of_the_same_weights_elsewhere_stay(weights, tmp_path):
    """A format more, by weights that were copied to another folder: the label map is still the case's."""
    case, moved = SAMPLES / "mr_held_back/images/mr_19", tmp_path / "fold_0/models/best.pt"
    moved.parent.mkdir(parents=True)
    shutil.copy(weights, moved)
    predict(BUNDLE, case, tmp_path / "out", weights=weights, device="cpu")
    (record,) = predict(BUNDLE, case, tmp_path / "out", weights=moved, device="cpu", formats="dicom-seg")
    assert record["codes"] == []
    assert (tmp_path / "out/mr_19.nii.gz").is_file()
