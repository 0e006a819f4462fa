"""What counts as done, for a case and for a whole folder that is opened again without MONAI."""

import json
import shutil
from dataclasses import replace

import pytest
from project import BUNDLES, SAMPLES, medseg, run

from medseg import InputError, predict
from medseg.bundle import Metadata, open_config
from medseg.files import sha256_of
from medseg.prediction.finished import Wanted, finished, is_done, records_if_finished
from medseg.prediction.inputs import InputState, content_sha256, stamp_of
from medseg.prediction.manifest import append
from medseg.prediction.origin import Origin
from medseg.prediction.record import begun
from medseg.read import Selection
from medseg.write import Output, OutputFormats

BUNDLE = BUNDLES / "hippocampus_mr_unet3d"
CASES = [{"id": f"case_{n}", "image": str(SAMPLES / f"mr/images/mr_0{n}.nii.gz")} for n in range(5)]
ORIGIN = Origin(Metadata({"name": "b", "version": "1"}), "m", ("w",), "c")
WANTED = Wanted(ORIGIN, Selection(), OutputFormats())


def done_record(folder, case):
    path = folder / f"{case['id']}.nii.gz"
    path.write_bytes(case["id"].encode())
    outputs = (Output(path.name, "nifti", sha256_of(path)),)
    state = InputState(content_sha256(case["image"]), stamp_of(case["image"]))
    return replace(begun(case), status="done", outputs=outputs, bundle=ORIGIN.as_json(), input=state)


def test_done_means_this_input_this_model_and_whole_outputs(tmp_path):
    record = done_record(tmp_path, CASES[0])
    assert is_done(CASES[0], record, tmp_path, WANTED)
    others = [
        *(replace(ORIGIN, **change) for change in ({"weights_sha256": ("x",)}, {"config_sha256": "x"})),
        *(replace(ORIGIN, **change) for change in ({"metadata_sha256": "x"}, {"mirror_axes": (0,)})),
    ]
    assert not any(is_done(CASES[0], record, tmp_path, replace(WANTED, origin=other)) for other in others)
    assert not is_done(CASES[0], record, tmp_path, replace(WANTED, selection=Selection(modality="MR")))
    assert not is_done(CASES[0], record, tmp_path, replace(WANTED, formats=OutputFormats(["rtstruct"])))
    assert not is_done({**CASES[0], "image": "/elsewhere"}, record, tmp_path, WANTED)
    assert not is_done({**CASES[0], "image": CASES[1]["image"]}, record, tmp_path, WANTED)
    assert not is_done(CASES[0], replace(record, status="failed"), tmp_path, WANTED)
    (tmp_path / "case_0.nii.gz").write_bytes(b"damaged")
    assert not is_done(CASES[0], record, tmp_path, WANTED)


def test_the_newest_record_counts(tmp_path):
    append(tmp_path, done_record(tmp_path, CASES[0]))
    append(tmp_path, done_record(tmp_path, CASES[1]))
    append(tmp_path, replace(done_record(tmp_path, CASES[1]), status="failed"))
    append(tmp_path, done_record(tmp_path, CASES[3]))
    assert set(finished(CASES, tmp_path, WANTED)) == {"case_0", "case_3"}


@pytest.fixture
def folder(weights, tmp_path):
    """A finished folder, its records, and the overrides it was made with."""
    data, out = SAMPLES / "mr/images/mr_00.nii.gz", tmp_path / "out"
    records = predict(BUNDLE, data, out, weights=weights, device="cpu")
    values = {"dataset_dir": str(data), "output_dir": str(out), "weights": str(weights), "device": "cpu"}
    return out, records, values


def test_a_finished_folder_is_opened_without_monai(folder, weights):
    out, records, values = folder
    assert [record.as_json() for record in records_if_finished(BUNDLE, values)] == records
    call = (
        f"import sys, medseg; medseg.predict({str(BUNDLE)!r}, {values['dataset_dir']!r}, {str(out)!r}, "
        f"weights={str(weights)!r}); assert not {{'torch', 'monai'}} & set(sys.modules)"
    )
    run("-c", call)
    assert (
        "1 of 1 cases done" in medseg("predict", BUNDLE, values["dataset_dir"], out, "--weights", weights).stdout
    )
    (out / "mr_00.nii.gz").write_bytes(b"damaged")
    assert records_if_finished(BUNDLE, values) is None


@pytest.mark.parametrize(
    "change",
    [
        {"device": "cuda:99"},
        {"precision": "float32"},
        {"mirror_axes": [0]},
        {"series_uid": "$medseg"},
        {"weights": "missing.pt"},
        {"formats": ["nifti", "rtstruct"]},
        {"modality": "CT"},
        {"output_dir": "."},
        {"_meta_::medseg::postprocessing::largest_component": []},
        {"_meta_::medseg::preprocessing::spacing_mm": [1.0, 1.0, 1.1]},
        {"inferer": {"_target_": "medseg.infer.SlidingWindowInferer", "roi_size": [40, 56, 40]}},
        {"inference": ["$@records", "$print(1)"]},
        {"records#pipeline#postprocessing": "$medseg.infer.to_native_labels()"},
        {"records#shard": "2/7"},
        {"records#output_dir": "elsewhere"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_gives_other_labels_or_is_computed_is_not_finished(folder, change):
    assert records_if_finished(BUNDLE, {**folder[2], **change}) is None


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"shard": "2/1"}, "CONFIG_BAD_VALUE"),
        ({"formats": ["png"]}, "CONFIG_BAD_VALUE"),
        ({"jobs": 0}, "CONFIG_BAD_VALUE"),
        ({"dataset_dir": "no"}, "FILE_MISSING"),
        ({"no_such_key": 1}, "CONFIG_UNKNOWN_KEY"),
    ],
)
def test_a_wrong_call_is_refused_as_a_run_refuses_it(folder, change, code):
    with pytest.raises(InputError, match=code):
        records_if_finished(BUNDLE, {**folder[2], **change})


def test_a_config_is_told_by_what_it_says_not_by_how_it_is_written(folder, tmp_path):
    """The same config in another layout is the same; another window overlap in the file is another."""
    _, _, values = folder
    copy = tmp_path / BUNDLE.name
    shutil.copytree(BUNDLE, copy)
    file = copy / "configs/inference.json"
    config = json.loads(file.read_text())
    file.write_text(json.dumps(dict(reversed(config.items()))))
    assert records_if_finished(copy, values) is not None
    config["preprocessing"] = config["preprocessing"].replace("labelled=True, ", "") + ".set_random_state(0)"
    file.write_text(json.dumps(config))
    assert records_if_finished(copy, values) is None


def test_the_folder_a_bundle_lies_in_is_no_part_of_its_settings(folder, tmp_path):
    shutil.copytree(BUNDLE, tmp_path / "elsewhere")
    assert records_if_finished(tmp_path / "elsewhere", folder[2]) is not None


def test_a_config_s_own_keys_are_part_of_what_makes_the_labels(weights, tmp_path):
    """Wherever in the config it stands: an item of the user's that a section refers to."""
    copy = tmp_path / BUNDLE.name
    shutil.copytree(BUNDLE, copy)
    file = copy / "configs/inference.json"
    config = json.loads(file.read_text())
    config["keep"] = [1, 2]
    config["postprocessing"] = "$medseg.infer.to_native_labels(largest_component=@keep)"
    file.write_text(json.dumps(config))
    values = {"dataset_dir": str(SAMPLES / "mr/images/mr_00.nii.gz"), "output_dir": str(tmp_path / "out")}
    values |= {"weights": str(weights), "device": "cpu"}
    predict(copy, values["dataset_dir"], tmp_path / "out", weights=weights, device="cpu")
    assert records_if_finished(copy, values) is not None
    assert records_if_finished(copy, {**values, "keep": []}) is None


def test_the_bundle_s_own_code_is_part_of_what_makes_the_labels(tmp_path):
    copy = tmp_path / BUNDLE.name
    shutil.copytree(BUNDLE, copy)
    (copy / "scripts").mkdir()
    (copy / "scripts/network.py").write_text("SIGN = 1\n")
    before = open_config(copy, "inference").sha256({})
    (copy / "scripts/network.py").write_text("SIGN = -1\n")
    assert open_config(copy, "inference").sha256({}) != before
