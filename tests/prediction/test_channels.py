"""Four channels from files to a report: trained, predicted from lists, 4D files and arrays, and evaluated."""

import json
import shutil

import nibabel
import numpy as np
import pytest
from oracles.tumours import AFFINE, tumour_case, write_bundle, write_channels, write_data_set

from medseg import InputError, evaluate, predict, train
from medseg.read import Volume


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A bundle of four channels that was trained for two epochs, and its data set."""
    folder = tmp_path_factory.mktemp("channels")
    bundle, data = write_bundle(folder / "bundle"), write_data_set(folder / "data")
    train(bundle, data, output_dir=str(folder / "run"), device="cpu", max_minutes=0)
    (bundle / "models").mkdir()
    shutil.copy(folder / "run/models/best.pt", bundle / "models/model.pt")
    return bundle, data


def test_training_describes_each_channel(model):
    from medseg.bundle import training_images

    names = set(training_images(model[0] / "models/model.pt").ranges)
    assert {"median_share", "median_share_of_channel_2", "median_share_of_channel_4", "extent_x_mm"} <= names
    assert not any(name.startswith("extent_x_mm_of") for name in names)


def test_a_list_a_4d_file_and_arrays_give_the_same_labels(model, tmp_path):
    bundle, data = model
    case = write_channels(tmp_path / "files", 1)
    predict(bundle, [case], tmp_path / "listed", device="cpu")
    predict(bundle, data, tmp_path / "four", device="cpu", jobs=2)
    listed, four = (nibabel.load(tmp_path / name / "case_1.nii.gz") for name in ("listed", "four"))
    expected = np.asarray(listed.dataobj)
    assert len(np.unique(expected)) > 1
    np.testing.assert_array_equal(np.asarray(four.dataobj), expected)
    channels = np.moveaxis(tumour_case(1)[0], -1, 0)
    volumes = [Volume(channel, AFFINE) for channel in channels]
    one_path = str(data / "imagesTr/case_1.nii.gz")
    for given in (channels, list(channels), volumes, case["image"], one_path):
        found = predict(bundle, given, affine=AFFINE, device="cpu")
        np.testing.assert_array_equal(found.array, expected)
    several = predict(bundle, [case["image"], [one_path], channels], affine=AFFINE, device="cpu")
    assert [np.array_equal(found.array, expected) for found in several] == [True] * 3


def test_a_case_is_done_until_one_of_its_channels_changes(model, tmp_path):
    case = write_channels(tmp_path / "files", 1)
    first = predict(model[0], [case], tmp_path / "out", device="cpu")
    assert first[0]["inputs"] == case["image"]
    assert predict(model[0], [case], tmp_path / "out", device="cpu") == first
    swapped = {**case, "image": [*case["image"][1:], case["image"][0]]}
    again = predict(model[0], [swapped], tmp_path / "out", device="cpu")
    assert again[0]["status"] == "done"
    assert again[0]["input"]["sha256"] != first[0]["input"]["sha256"]
    assert len((tmp_path / "out/manifest.jsonl").read_text().splitlines()) == 2


def test_channels_of_different_grids_and_of_another_number_fail_alone(model, tmp_path):
    good = write_channels(tmp_path / "a", 1)
    shifted = write_channels(tmp_path / "b", 2, {2: AFFINE + 0.5 * np.eye(4)[:, [3, 3, 3, 0]]})
    three = {**write_channels(tmp_path / "c", 3), "image": good["image"][:3]}
    single = {"id": "single", "image": good["image"][0]}
    records = predict(model[0], [good, shifted, three, single], tmp_path / "out", device="cpu")
    assert [record["codes"] for record in records[1:]] == [
        ["GEOMETRY_CHANNEL_GRID"],
        ["CHANNELS_MISMATCH"],
        ["CHANNELS_MISMATCH"],
    ]
    assert records[0]["status"] == "done"
    assert "infer" not in records[1]["timings_s"]
    assert "3 channels, and 4" in records[2]["message"]
    with pytest.raises(InputError) as caught:
        predict(model[0], tumour_case(1)[0][..., 0], affine=AFFINE, device="cpu")
    assert caught.value.code == "CHANNELS_MISMATCH"


def test_an_odd_channel_is_told(model, tmp_path):
    case = write_channels(tmp_path / "files", 1)
    image = nibabel.load(case["image"][2])
    nibabel.save(nibabel.Nifti1Image((np.asarray(image.dataobj) > 300).astype(np.int16), AFFINE), case["image"][2])
    record = predict(model[0], [case], tmp_path / "out", device="cpu")[0]
    assert "INPUT_UNLIKE_TRAINING" in record["codes"]
    assert all(far["number"].endswith("_of_channel_3") for far in record["unlike_training"])


def test_it_is_evaluated_and_drawn_with_the_first_channel(model, tmp_path):
    bundle, data = model
    predict(bundle, data, tmp_path / "out", device="cpu")
    summary = evaluate(tmp_path / "out", data, tmp_path / "evaluation", bundle=bundle)
    assert [label["name"] for label in summary["labels"].values()] == ["swelling", "core", "rim"]
    assert "case_1" in (tmp_path / "evaluation/report.html").read_text()
    assert "drawn without" not in json.dumps(summary)


def test_training_takes_a_list_of_files(model, tmp_path):
    cases = [write_channels(tmp_path / "files", seed) for seed in range(3)]
    run = train(
        model[0], tmp_path / "files", cases=cases, output_dir=str(tmp_path / "run"), device="cpu", max_epochs=1
    )
    assert run["outcome"]["epochs"] == 1


def test_training_refuses_another_number_of_channels(model, tmp_path):
    cases = [write_channels(tmp_path / "files", seed) for seed in range(3)]
    cases[1]["image"] = cases[1]["image"][:2]
    with pytest.raises(InputError) as caught:
        train(model[0], tmp_path / "files", cases=cases, output_dir=str(tmp_path / "run"), device="cpu")
    assert caught.value.code == "CHANNELS_MISMATCH"
