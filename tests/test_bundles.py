"""Every bundle trains, evaluates and predicts by MONAI's command line, from wherever it is started."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from make import ct_case, mr_case, write_nifti
from monai.bundle import ConfigParser, verify_metadata, verify_net_in_out
from monai.bundle.properties import InferProperties, TrainProperties
from project import BUNDLES, ROOT, SAMPLES, medseg, monai_bundle

import medseg as package

NAMES = sorted(path.name for path in BUNDLES.iterdir())
WITH_WEIGHTS = [name for name in NAMES if (BUNDLES / name / "models/model.pt").is_file()]


def small_data_set(bundle: str, folder: Path) -> Path:
    """Write a labelled data set of the bundle's kind: six MR crops or four torso CTs."""
    for n in range(4 if "ct" in bundle else 6):
        if "ct" in bundle:
            image, labels = ct_case(n, organs=("spleen",))
            spacing_mm, labels = (4.0, 4.0, 5.0), (labels > 0).astype(np.uint8)
        else:
            image, labels = mr_case(n)
            spacing_mm = (1.0, 1.0, 1.0)
        write_nifti(folder / f"images/case_{n}.nii.gz", image, spacing_mm)
        write_nifti(folder / f"labels/case_{n}.nii.gz", labels, spacing_mm)
    return folder


@pytest.mark.parametrize("name", NAMES)
def test_training_evaluating_and_inference(name, tmp_path):
    data = small_data_set(name, tmp_path / "data")
    configs = BUNDLES / name / "configs"
    where = ROOT if name == NAMES[0] else tmp_path  # from the repository's root, and from elsewhere
    bundle = configs.relative_to(ROOT) if where == ROOT else configs
    common = ("--dataset_dir", data, "--device", "cpu")

    training = tmp_path / "training"
    quick = ("--max_epochs", 1, "--patches_per_case", 1, "--batch_size", 2)
    monai_bundle("training", bundle / "train.json", *common, "--output_dir", training, *quick, cwd=where)
    assert {path.name for path in (training / "models").iterdir()} == {"best.pt", "last.pt", "model.pt"}
    assert json.loads((training / "run.json").read_text())["outcome"]["epochs"] == 1

    weights = ("--weights", training / "models/best.pt")
    evaluation = tmp_path / "evaluation"
    monai_bundle("evaluating", bundle / "evaluate.json", *common, *weights, "--output_dir", evaluation, cwd=where)
    summary = json.loads((evaluation / "summary.json").read_text())
    assert summary["mean"]["n"] == len(json.loads((training / "split.json").read_text())["validation"])

    by_monai = tmp_path / "by_monai"
    monai_bundle("inference", bundle / "inference.json", *common, *weights, "--output_dir", by_monai, cwd=where)
    by_command = tmp_path / "by_command"
    medseg("predict", BUNDLES / name, data, by_command, *weights, "--device", "cpu", cwd=where)
    by_python = tmp_path / "by_python"
    package.predict(BUNDLES / name, data, by_python, weights=weights[1], device="cpu")
    maps = [path.name for path in sorted(by_monai.glob("*.nii.gz"))]
    assert len(maps) == (4 if "ct" in name else 6)
    for file in maps:
        assert (by_monai / file).read_bytes() == (by_command / file).read_bytes()
        assert (by_monai / file).read_bytes() == (by_python / file).read_bytes()
    for path in (evaluation / "predictions").glob("*.nii.gz"):
        assert path.read_bytes() == (by_monai / path.name).read_bytes()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("config", "properties"), [("train", TrainProperties), ("inference", InferProperties)])
def test_monai_finds_the_properties_it_requires(name, config, properties):
    parser = ConfigParser()
    parser.read_config(str(BUNDLES / name / f"configs/{config}.json"))
    required = [entry["id"] for entry in properties.values() if entry["required"]]
    assert required
    assert [id for id in required if id not in parser] == []


@pytest.mark.parametrize("name", NAMES)
def test_network_keeps_the_declared_input_and_output(name):
    configs = BUNDLES / name / "configs"
    verify_net_in_out("network_def", str(configs / "metadata.json"), str(configs / "inference.json"), device="cpu")


@pytest.mark.parametrize("name", NAMES)
def test_metadata_fits_monai_s_schema(name, real_data, tmp_path):
    schema = tmp_path / "schema.json"
    schema.write_bytes((real_data / "monai_meta_schema_20240725.json").read_bytes())
    verify_metadata(meta_file=str(BUNDLES / name / "configs/metadata.json"), filepath=str(schema))


@pytest.mark.parametrize("name", WITH_WEIGHTS)
def test_shipped_weights_are_a_small_plain_state_dict(name):
    path = BUNDLES / name / "models/model.pt"
    assert path.stat().st_size <= 12e6
    state = torch.load(path, weights_only=True)
    assert all(isinstance(value, torch.Tensor) for value in state.values())


@pytest.mark.parametrize("name", WITH_WEIGHTS)
def test_shipped_weights_know_their_training_images(name, real_data):
    """What is no hippocampus in MR was labelled in silence; no case of the data set raises the alarm."""
    images = package.bundle.training_images(BUNDLES / name / "models/model.pt")
    assert images.cases == 150
    for case in package.cases.find_cases(real_data / "Task04_Hippocampus", labelled=True)[::4]:
        assert package.read.compared(package.read_volume(case["image"]), images)[1] == []
    crop = real_data / "dicom/mr_brain_study/hippocampus_crop"
    assert package.read.compared(package.read_volume(crop), images)[1] == []
    for stranger in ("ct/torso_3mm.nii.gz", "mr/torso_mr_3mm_crop.nii.gz", "dicom/mr_brain_study/t1"):
        assert package.read.compared(package.read_volume(real_data / stranger), images)[1]


@pytest.mark.parametrize("name", WITH_WEIGHTS)
def test_an_image_unlike_the_training_s_is_said_to_be(name, tmp_path, caplog):
    """By predict to files and by the array API: a label map given as an image, a CT given to an MR model."""
    how = {"device": "cpu"}
    alike, label_map = SAMPLES / "mr/images/mr_00.nii.gz", SAMPLES / "mr/labels/mr_00.nii.gz"
    (record,) = package.predict(BUNDLES / name, label_map, tmp_path / "a", **how)
    assert (record["status"], record["codes"]) == ("done", ["INPUT_UNLIKE_TRAINING"])
    assert {each["number"] for each in record["unlike_training"]} >= {"distinct_values"}
    assert [line for line in caplog.messages if "INPUT_UNLIKE_TRAINING" in line and "distinct_values" in line]
    (record,) = package.predict(BUNDLES / name, alike, tmp_path / "b", **how)
    assert (record["codes"], record["unlike_training"]) == ([], [])

    caplog.clear()
    ct = package.read_volume(SAMPLES / "ct/images/ct_00.nii.gz")
    part = ct.array[:16, :16, :8]  # the whole one, at the model's 1 mm, takes minutes
    assert "INPUT_UNLIKE_TRAINING" in package.predict(BUNDLES / name, part, affine=ct.affine, **how).codes
    assert any("INPUT_UNLIKE_TRAINING" in line for line in caplog.messages)
    assert package.predict(BUNDLES / name, alike, **how).codes == ()


@pytest.mark.parametrize("name", WITH_WEIGHTS)
def test_shipped_weights_find_the_hippocampus(name, real_data, tmp_path):
    """A few test cases stand for the table in the bundle's README, which has all of them."""
    cases = package.cases.find_cases(real_data / "Task04_Hippocampus", labelled=True)
    numbers = package.bundle.read_metadata(BUNDLES / name).values["medseg"]
    split = package.cases.split_cases(cases, **numbers["split"])
    summary = package.evaluation.evaluate_bundle(
        BUNDLES / name,
        package.cases.choose_cases(cases, {"test": split["test"][:6]}, "test"),
        tmp_path,
        prediction={"device": "cpu"},
    )
    assert summary["mean"]["dice"]["mean"] > 0.84
    assert summary["mean"]["hd95_mm"]["mean"] < 2.5


@pytest.mark.parametrize("name", WITH_WEIGHTS)
def test_a_real_dicom_series_is_segmented(name, real_data, tmp_path):
    series = real_data / "dicom/mr_brain_study/hippocampus_crop"
    (record,) = package.predict(BUNDLES / name, series, tmp_path, device="cpu")
    labels = package.read_volume(tmp_path / f"{record['case']}.nii.gz")
    image = package.read_volume(series)
    np.testing.assert_allclose(labels.affine, image.affine, atol=1e-4)
    volumes_ml = [(labels.array == i).sum() / 1000 for i in (1, 2)]
    assert all(0.5 < volume < 4 for volume in volumes_ml)  # a hippocampus has 2 to 5 ml in all
