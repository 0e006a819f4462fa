"""Batches: every case recorded, a bad one alone lost, a rerun that does only what is left."""

import importlib
import json
import shutil

import cc3d
import highdicom
import nibabel
import numpy as np
import pydicom
import pytest
import torch
from oracles.tilted_ct import scan_ct
from project import BUNDLES, SAMPLES, medseg, monai_bundle

from medseg import InputError, predict, read_volume
from medseg.infer import find_components

BUNDLE = BUNDLES / "hippocampus_mr_unet3d"


def lines(output) -> list[dict]:
    return [json.loads(line) for line in (output / "manifest.jsonl").read_text().splitlines()]


def test_label_maps_lie_on_the_input_s_grid(weights, tmp_path):
    records = predict(BUNDLE, SAMPLES / "mr_held_back", tmp_path, weights=weights, device="cpu")
    assert [record["status"] for record in records] == ["done"] * 4
    for record in records:
        out = nibabel.load(tmp_path / f"{record['case']}.nii.gz")
        reference = nibabel.load(SAMPLES / f"mr_held_back/labels/{record['case']}.nii.gz")
        assert out.get_data_dtype() == np.uint8
        assert out.shape == reference.shape
        np.testing.assert_allclose(out.affine, reference.affine, atol=1e-6)
        assert set(record["timings_s"]) == {"read", "preprocess", "infer", "postprocess", "write"}
    assert lines(tmp_path) == records


def test_a_bad_case_is_recorded_and_the_rest_done(weights, tmp_path):
    shutil.copytree(SAMPLES / "mr_held_back/images", tmp_path / "in")
    (tmp_path / "in/bad.nii.gz").write_bytes(b"not gzip")
    (tmp_path / "in/mr_19/007.dcm").unlink()
    records = predict(BUNDLE, tmp_path / "in", tmp_path / "out", weights=weights, device="cpu")
    codes = {record["case"]: record["codes"] for record in records if record["status"] == "failed"}
    assert codes == {"bad": ["FILE_UNREADABLE"], "mr_19": ["GEOMETRY_MISSING_SLICE"]}
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "manifest.jsonl",
        "mr_16.nii.gz",
        "mr_17.nii.gz",
        "mr_18.nii.gz",
    ]


def test_a_rerun_does_only_what_is_not_done(weights, tmp_path):
    first = predict(BUNDLE, SAMPLES / "mr_held_back", tmp_path, weights=weights, device="cpu")
    assert predict(BUNDLE, SAMPLES / "mr_held_back", tmp_path, weights=weights, device="cpu") == first
    assert len(lines(tmp_path)) == 4
    (tmp_path / "mr_16.nii.gz").write_bytes(b"damaged")
    (tmp_path / "mr_17.nii.gz").unlink()
    predict(BUNDLE, SAMPLES / "mr_held_back", tmp_path, weights=weights, device="cpu")
    assert [line["case"] for line in lines(tmp_path)][4:] == ["mr_16", "mr_17"]
    assert lines(tmp_path)[4]["outputs"] == first[0]["outputs"]  # the same bytes as before


def test_another_input_of_the_same_name_is_not_done(weights, tmp_path):
    for n in range(2):
        (tmp_path / str(n)).mkdir()
        shutil.copy(SAMPLES / f"mr/images/mr_0{n}.nii.gz", tmp_path / str(n) / "same.nii.gz")
        predict(BUNDLE, tmp_path / str(n), tmp_path / "out", weights=weights, device="cpu")
    assert len(lines(tmp_path / "out")) == 2
    image = nibabel.load(SAMPLES / "mr/images/mr_01.nii.gz")
    assert nibabel.load(tmp_path / "out/same.nii.gz").shape == image.shape


def test_the_series_of_the_bundle_s_modality_is_taken_or_the_one_that_is_named(weights, tmp_path):
    series = tmp_path / "study" / "mr"
    shutil.copytree(SAMPLES / "mr_held_back/images/mr_19", series)
    for name, fields in {
        "pet": {"Modality": "PT", "SeriesInstanceUID": "1.2.3"},
        "second": {"SeriesDescription": "Second", "SeriesInstanceUID": "1.2.4"},
    }.items():
        if name == "second":
            first = predict(
                BUNDLE, [{"id": "a", "image": str(tmp_path / "study")}], tmp_path / "out", weights=weights
            )
            assert first[0]["status"] == "done"
        shutil.copytree(series, tmp_path / "study" / name)
        for file in (tmp_path / "study" / name).iterdir():
            ds = pydicom.dcmread(file)
            ds.update(fields)
            ds.save_as(file)
    case = [{"id": "b", "image": str(tmp_path / "study")}]
    (record,) = predict(BUNDLE, case, tmp_path / "out", weights=weights)
    assert record["codes"] == ["DICOM_SEVERAL_SERIES"]
    (record,) = predict(BUNDLE, case, tmp_path / "out", weights=weights, description="second")
    assert (record["status"], record["select"]) == ("done", {"description": "second", "modality": "MR"})
    (record,) = predict(BUNDLE, case, tmp_path / "out", weights=weights, modality="CT")
    assert record["codes"] == ["DICOM_NO_SUCH_SERIES", "OUTPUT_KEPT"]


def test_other_weights_do_not_count_as_done(weights, tmp_path):
    state = torch.load(weights, weights_only=True)
    torch.save({name: value * 2 for name, value in state.items()}, tmp_path / "other.pt")
    case = SAMPLES / "mr/images/mr_00.nii.gz"
    predict(BUNDLE, case, tmp_path / "out", weights=weights, device="cpu")
    predict(BUNDLE, case, tmp_path / "out", weights=tmp_path / "other.pt", device="cpu")
    assert len(lines(tmp_path / "out")) == 2


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("prediction.case", "read_volume"),
        ("preprocess.resample", "resample"),
        ("infer.segmentation", "_run"),
        ("infer.blending", "_Kept"),
        ("infer.native", "best_class"),
        ("infer", "find_components"),
        ("infer.postprocess", "keep_largest_component"),
        ("write.results", "write_label_map"),
    ],
)
def test_memory_that_runs_out_once_at_any_stage_costs_nothing(weights, tmp_path, monkeypatch, module, name):
    case = SAMPLES / "mr/images/mr_00.nii.gz"
    (whole,) = predict(BUNDLE, case, tmp_path / "whole", weights=weights, device="cpu")
    holder = importlib.import_module(f"medseg.{module}")
    real, calls = getattr(holder, name), []

    def runs_out(*args, **kwargs):
        calls.append(1)
        if len(calls) == 1:
            raise MemoryError
        return real(*args, **kwargs)

    monkeypatch.setattr(holder, name, runs_out)
    (record,) = predict(BUNDLE, case, tmp_path / "out", weights=weights, device="cpu")
    assert len(calls) >= 2
    assert record["status"] == "done"
    assert record["outputs"] == whole["outputs"]
    assert set(record["codes"]) <= {"MEMORY_FELL_BACK"}


def test_a_tilted_series_is_done_when_its_repair_is_asked_for(weights, tmp_path):
    """The record says what was repaired; the NIfTI lies on the straight grid, the SEG on the slices."""
    scan = scan_ct(tmp_path / "in" / "head", 12, [3.5, 2.9] * 6, Modality="MR")
    given = {"weights": weights, "device": "cpu", "formats": ["nifti", "dicom-seg", "rtstruct"]}
    (record,) = predict(BUNDLE, tmp_path / "in", tmp_path / "out", **given)
    assert record["codes"] == ["GEOMETRY_UNEVEN_SPACING"]
    assert "--repair uneven --repair tilt" in record["message"]
    given["repair"] = ["uneven", "tilt"]
    (record,) = predict(BUNDLE, tmp_path / "in", tmp_path / "out", **given)
    assert record["codes"] == ["GEOMETRY_REPAIRED_TILT", "GEOMETRY_REPAIRED_SPACING"]
    volume = read_volume(scan.folder, repair=given["repair"])
    assert record["repair"] == volume.repair.facts
    assert record["select"] == {"modality": "MR", "repair": ["tilt", "uneven"]}
    written = read_volume(tmp_path / "out" / "head.nii.gz")
    np.testing.assert_allclose(written.affine, volume.affine, atol=1e-5)
    (in_memory,) = predict(BUNDLE, [scan.folder], weights=weights, device="cpu", repair=given["repair"])
    np.testing.assert_array_equal(in_memory.array, written.array)
    seg = highdicom.seg.segread(tmp_path / "out" / "head.seg.dcm")
    uids = [pydicom.dcmread(file).SOPInstanceUID for file in volume.source]
    found = seg.get_pixels_by_source_instance(
        uids, combine_segments=True, ignore_spatial_locations=True, assert_missing_frames_are_empty=True
    )
    np.testing.assert_array_equal(found.transpose(2, 1, 0), in_memory.repair.on_slices(in_memory.array))


def test_a_rerun_with_another_repair_is_not_done(weights, tmp_path):
    scan_ct(tmp_path / "in" / "head", 12, [2.9] * 8, Modality="MR")
    given = {"weights": weights, "device": "cpu"}
    (first,) = predict(BUNDLE, tmp_path / "in", tmp_path / "out", repair="tilt", **given)
    assert predict(BUNDLE, tmp_path / "in", tmp_path / "out", repair=["tilt"], **given) == [first]
    (other,) = predict(BUNDLE, tmp_path / "in", tmp_path / "out", repair=["tilt", "uneven"], **given)
    assert (other["status"], len(lines(tmp_path / "out"))) == ("done", 2)
    (refused,) = predict(BUNDLE, tmp_path / "in", tmp_path / "out", **given)
    assert refused["codes"] == ["GEOMETRY_GANTRY_TILT", "OUTPUT_KEPT"]
    with pytest.raises(InputError, match="CONFIG_BAD_VALUE"):
        predict(BUNDLE, tmp_path / "in", tmp_path / "out", repair="tilted", **given)


def test_commands_repair_as_python_does(weights, tmp_path):
    scan_ct(tmp_path / "in" / "head", -12, [2.9] * 8, Modality="MR")
    (record,) = predict(BUNDLE, tmp_path / "in", tmp_path / "a", repair="tilt", weights=weights, device="cpu")
    config, where = (
        BUNDLE / "configs/inference.json",
        ("--dataset_dir", tmp_path / "in", "--output_dir", tmp_path / "b"),
    )
    monai_bundle("inference", config, *where, "--weights", weights, "--device", "cpu", "--repair", "tilt")
    given = ("--weights", weights, "--device", "cpu", "--repair", "tilt")
    medseg("predict", BUNDLE, tmp_path / "in", tmp_path / "c", *given)
    for name in ("b", "c"):
        (line,) = lines(tmp_path / name)
        assert [output["sha256"] for output in line["outputs"]] == [
            output["sha256"] for output in record["outputs"]
        ]
        assert line["repair"] == record["repair"]


def test_components_of_all_labels_are_found_in_one_pass(weights, tmp_path, monkeypatch):
    """Counting them and keeping the largest of each label take the same pass."""
    real, calls = cc3d.connected_components, []
    monkeypatch.setattr(cc3d, "connected_components", lambda *a, **k: calls.append(1) or real(*a, **k))
    case = SAMPLES / "mr/images/mr_00.nii.gz"
    (record,) = predict(BUNDLE, case, tmp_path, weights=weights, device="cpu")
    assert len(calls) == 1
    written = read_volume(tmp_path / "mr_00.nii.gz").array
    kept = find_components(written).counts()
    assert set(kept.values()) == {1}
    assert max(facts["components"] for facts in record["confidence"].values()) > 1
