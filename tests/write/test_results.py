"""Formats: each asked for, each whole, or the case is not done; what headers say stays in them."""

import json
import shutil

import numpy as np
import pydicom
import pytest
from oracles.dicom_series import pixels, write_series
from project import BUNDLES, SAMPLES
from typer.testing import CliRunner

from medseg import InputError, evaluate, predict, read_volume
from medseg.cli.commands import app
from medseg.files import sha256_of
from medseg.prediction import case as prediction
from medseg.write import results

BUNDLE = BUNDLES / "hippocampus_mr_unet3d"
SERIES = SAMPLES / "mr_held_back/images/mr_19"
NIFTI = SAMPLES / "mr_held_back/images/mr_16.nii.gz"
ALL = ("nifti", "dicom-seg", "rtstruct")
FILES = ["mr_19.nii.gz", "mr_19.seg.dcm", "mr_19.rtstruct.dcm"]


@pytest.fixture
def run(weights, tmp_path):
    """Predict with the random weights into the test's folder."""

    def go(data=SERIES, **how):
        return predict(BUNDLE, data, tmp_path / "out", weights=weights, device="cpu", **how)

    return go


def lines(tmp_path) -> list[dict]:
    return [json.loads(line) for line in (tmp_path / "out/manifest.jsonl").read_text().splitlines()]


def test_all_formats_hold_the_same_labels(run, tmp_path):
    (record,) = run(formats=ALL)
    assert [output["path"] for output in record["outputs"]] == FILES
    for output in record["outputs"]:
        assert output["sha256"] == sha256_of(tmp_path / "out" / output["path"])
    labels = read_volume(tmp_path / "out/mr_19.nii.gz").array
    seg = pydicom.dcmread(tmp_path / "out/mr_19.seg.dcm")
    numbers = [
        frame.SegmentIdentificationSequence[0].ReferencedSegmentNumber
        for frame in seg.PerFrameFunctionalGroupsSequence
    ]
    for label in (1, 2):
        assert seg.pixel_array[np.array(numbers) == label].sum() == (labels == label).sum() > 0
    contours = pydicom.dcmread(tmp_path / "out/mr_19.rtstruct.dcm").ROIContourSequence
    assert [len(roi.ContourSequence) > 0 for roi in contours] == [True, True]
    assert record["codes"] == list(read_volume(SERIES).codes)


def test_done_means_every_format_that_is_asked_for(run, tmp_path):
    first = run()
    assert run(formats="nifti") == first
    (second,) = run(formats=["nifti", "dicom-seg"])
    assert len(lines(tmp_path)) == 2
    assert run(formats=["dicom-seg"]) == run() == [second]
    run(formats=["dicom-seg"], seg_type="LABELMAP")
    assert len(lines(tmp_path)) == 3
    assert pydicom.dcmread(tmp_path / "out/mr_19.seg.dcm").SegmentationType == "LABELMAP"
    (tmp_path / "out/mr_19.seg.dcm").write_bytes(b"damaged")
    (last,) = run(formats=["dicom-seg"], seg_type="LABELMAP")
    assert len(lines(tmp_path)) == 4
    assert last["outputs"][0]["sha256"] == sha256_of(tmp_path / "out/mr_19.seg.dcm")


def test_a_case_that_is_no_dicom_fails_alone_and_before_its_inference(run, tmp_path):
    (tmp_path / "in").mkdir()
    shutil.copytree(SERIES, tmp_path / "in/series")
    shutil.copy(NIFTI, tmp_path / "in/plain.nii.gz")
    plain, series = run(tmp_path / "in", formats=["nifti", "rtstruct"])
    assert (plain["status"], plain["codes"], plain["outputs"]) == ("failed", ["FORMAT_NEEDS_DICOM"], [])
    assert set(plain["timings_s"]) == {"read"}
    assert series["status"] == "done"
    assert not list((tmp_path / "out").glob("plain*"))
    (plain, _) = run(tmp_path / "in")
    assert plain["status"] == "done"


def test_a_failure_after_the_first_format_is_not_done(run, tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError("no space left for Secret^Patient")

    monkeypatch.setattr(results, "write_rtstruct", full)
    (record,) = run(formats=ALL)
    assert (record["status"], record["outputs"]) == ("failed", [])
    monkeypatch.undo()
    (record,) = run(formats=ALL)
    assert record["status"] == "done"
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted([*FILES, "manifest.jsonl"])


def test_wrong_formats_are_refused_before_anything_is_written(run, tmp_path):
    for how in ({"formats": ["dicom"]}, {"formats": []}, {"formats": ["dicom-seg"], "seg_type": "binary"}):
        with pytest.raises(InputError, match="CONFIG_BAD_VALUE"):
            run(**how)
    assert not (tmp_path / "out").exists()


def test_a_3d_model_refuses_one_slice(run, tmp_path, save):
    write_series(tmp_path / "in/dicom", pixels((40, 50, 1)))
    save("in/flat.nii.gz", np.ones((40, 1, 50), np.uint8))
    assert [record["codes"] for record in run(tmp_path / "in")] == [["GEOMETRY_SINGLE_SLICE"]] * 2


def test_nothing_written_or_printed_quotes_a_header(run, tmp_path, monkeypatch, caplog, capfd):
    """An unexpected error's text may quote what it stumbled over; its type and place may be told."""
    write_series(tmp_path / "in", pixels((20, 20, 20)), PatientName="Secret^Patient", PatientSex="SECRET")

    def stumble(_, **__):
        try:
            raise KeyError("Secret^Patient")
        except KeyError as error:
            raise RuntimeError(f"cannot read {error}") from error

    monkeypatch.setattr(prediction, "read_volume", stumble)
    (record,) = run(tmp_path / "in", formats=ALL)
    assert record["codes"] == ["CASE_FAILED"]
    assert record["message"].startswith(f"KeyError at {__name__}:")
    assert "medseg.prediction.case:" in record["message"]
    monkeypatch.undo()
    (record,) = run(tmp_path / "in", formats=ALL)
    assert record["status"] == "done"
    told = capfd.readouterr()
    manifest = (tmp_path / "out/manifest.jsonl").read_text()
    assert "ecret" not in (manifest + caplog.text + told.out + told.err).lower()


def test_the_command_writes_what_it_is_asked_for_and_its_folder_can_be_evaluated(weights, tmp_path):
    words = ["predict", BUNDLE, SERIES, tmp_path / "out", "--weights", weights, "--device", "cpu"]
    words += ["--format", "nifti", "--format", "dicom-seg", "--format", "rtstruct", "--seg-type", "LABELMAP"]
    done = CliRunner().invoke(app, list(map(str, words)))
    assert done.exit_code == 0, done.output
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted([*FILES, "manifest.jsonl"])
    assert pydicom.dcmread(tmp_path / "out/mr_19.seg.dcm").SegmentationType == "LABELMAP"
    summary = evaluate(tmp_path / "out", SAMPLES / "mr_held_back", tmp_path / "judged")
    assert summary["mean"]["n"] == 1
