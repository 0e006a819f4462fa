"""A planned bundle is whole, is a bundle like the shipped ones, and trains and predicts."""

import json
import shutil

import numpy as np
import pytest
from make import write_nifti
from monai.bundle import verify_metadata
from oracles.data_sets import images_and_labels, nnunet_raw
from project import BUNDLES, SAMPLES, code_of

import medseg
from medseg import plan
from medseg.bundle import open_config
from medseg.networks import build

TINY = {"max_epochs": 1, "patches_per_case": 1, "batch_size": 2, "device": "cpu"}


def metadata_of(bundle):
    return json.loads((bundle / "configs/metadata.json").read_text())


@pytest.fixture(scope="module")
def planned(tmp_path_factory):
    bundle = tmp_path_factory.mktemp("plan") / "mine"
    return bundle, plan(SAMPLES / "mr", bundle, device="cpu", max_minutes=5, labels={1: "hippocampus", 2: "tail"})


def test_it_is_a_bundle_like_the_others(planned, real_data, tmp_path):
    bundle, _ = planned
    other = BUNDLES / "hippocampus_mr_unet3d"
    for name in ("train.json", "inference.json", "evaluate.json", "logging.conf"):
        assert (bundle / "configs" / name).read_bytes() == (other / "configs" / name).read_bytes()
    schema = tmp_path / "schema.json"
    schema.write_bytes((real_data / "monai_meta_schema_20240725.json").read_bytes())
    verify_metadata(meta_file=str(bundle / "configs/metadata.json"), filepath=str(schema))
    for job in ("training", "inference", "evaluating"):
        assert open_config(bundle, job).metadata.label_names == {1: "hippocampus", 2: "tail"}
    assert set(metadata_of(bundle)) == set(metadata_of(other))
    assert set(metadata_of(bundle)["medseg"]["segments"]) == {"hippocampus"}
    assert (bundle / "LICENSE").is_file()


def test_every_choice_and_its_reason_is_kept_and_no_case_is_named(planned):
    bundle, result = planned
    assert json.loads((bundle / "configs/plan.json").read_text()) == json.loads(json.dumps(result))
    page = (bundle / "docs/README.md").read_text()
    assert all(f"| `{key}` |" in page and choice["reason"] in page for key, choice in result["choices"].items())
    assert all("mr_0" not in path.read_text() for path in bundle.rglob("*") if path.is_file())
    assert not list(bundle.parent.glob(".mine*"))


def test_what_is_there_is_not_replaced(planned, tmp_path):
    bundle, _ = planned
    before = (bundle / "configs/metadata.json").read_bytes()
    assert code_of(plan, SAMPLES / "mr", bundle) == "OUTPUT_WOULD_OVERWRITE"
    assert (bundle / "configs/metadata.json").read_bytes() == before
    (tmp_path / "empty").mkdir()
    plan(SAMPLES / "mr", tmp_path / "empty", device="cpu")
    assert metadata_of(tmp_path / "empty")["name"] == "empty"


def test_it_trains_and_predicts(planned, tmp_path):
    bundle, _ = planned
    medseg.train(bundle, SAMPLES / "mr", output_dir=str(tmp_path / "run"), **TINY)
    weights = tmp_path / "run/models/best.pt"
    (record,) = medseg.predict(
        bundle, SAMPLES / "mr/images/mr_00.nii.gz", tmp_path / "out", weights=weights, device="cpu"
    )
    assert record["status"] == "done"


@pytest.mark.parametrize(
    ("how", "dims"),
    [
        ({"labels": 60, "shape": (40, 40, 40)}, 3),
        ({"shape": (10, 48, 48), "spacing_mm": (8.0, 1.0, 1.0)}, 2),
        ({"shape": (10, 48, 48), "spacing_mm": (8.0, 1.0, 1.0), "dims": 3}, 3),
        ({"shape": (40, 36, 1)}, 2),
        ({"shape": (9, 8, 7), "labels": 1}, 3),
    ],
    ids=["many labels", "thick slices", "thick slices as volumes", "flat", "tiny"],
)
def test_odd_data_sets_get_a_model_that_trains(how, dims, tmp_path):
    given = {"dims": how["dims"]} if "dims" in how else {}
    how = {key: value for key, value in how.items() if key != "dims"}
    folder = images_and_labels(tmp_path / "set", cases=4, **how)
    plan(folder, tmp_path / "bundle", device="cpu", **given)
    numbers = metadata_of(tmp_path / "bundle")["medseg"]
    assert numbers["network"]["spatial_dims"] == dims
    build(patch_size=numbers["patch_size"], **numbers["network"])
    tiny = {**TINY, "_meta_::medseg::network::features": [2] * len(numbers["network"]["features"])}
    record = medseg.train(tmp_path / "bundle", folder, output_dir=str(tmp_path / "run"), **tiny)
    assert record["outcome"]["epochs"] == 1


def test_ct_has_a_window(tmp_path):
    for n in range(4):
        rng = np.random.default_rng(n)
        labels = np.zeros((20, 20, 20), np.uint8)
        labels[5:12, 5:12, 5:12] = 1
        image = (rng.normal(0, 20, labels.shape) + np.where(labels == 1, 100, -1000)).astype(np.int16)
        write_nifti(tmp_path / f"set/images/{n}.nii.gz", image, (1.0, 1.0, 1.0))
        write_nifti(tmp_path / f"set/labels/{n}.nii.gz", labels, (1.0, 1.0, 1.0))
    plan(tmp_path / "set", tmp_path / "bundle", device="cpu", labels={1: "liver"})
    values = metadata_of(tmp_path / "bundle")
    intensity = values["medseg"]["preprocessing"]["intensity"]
    assert intensity["mean_hu"] == pytest.approx(100, abs=3)
    assert intensity["window_hu"] == pytest.approx([48, 152], abs=8)
    assert values["network_data_format"]["inputs"]["image"]["format"] == "hounsfield"
    assert values["medseg"]["segments"]["liver"]["type"] == ["10200004", "SCT", "Liver"]


def test_channels_regions_and_an_ignored_label(tmp_path):
    """As far as the plan: the numbers are those that reading, training and evaluation take."""
    labels = {"background": 0, "whole": [1, 2, 3], "core": [2, 3], "enhancing": [3], "ignore": 4}
    names = ("T1", "CT", "T2", "FLAIR")
    plan(
        nnunet_raw(tmp_path / "set", labels=labels, channels=names, labels_there=4),
        tmp_path / "bundle",
        device="cpu",
    )
    values = metadata_of(tmp_path / "bundle")
    numbers, data = values["medseg"], values["network_data_format"]
    assert numbers["regions"] == {"whole": [1, 2, 3], "core": [2, 3], "enhancing": [3]}
    assert numbers["ignore_label"] == 4
    assert (numbers["network"]["channels"], numbers["network"]["labels"]) == (4, 3)
    assert [each["kind"] for each in numbers["preprocessing"]["intensity"]] == ["mr", "ct", "mr", "mr"]
    assert data["inputs"]["image"]["channel_def"] == {str(n): name for n, name in enumerate(names)}
    assert data["outputs"]["pred"]["channel_def"] == {"0": "whole", "1": "core", "2": "enhancing"}
    assert data["outputs"]["pred"]["num_channels"] == 3


def test_regions_and_an_ignored_label_may_be_given(tmp_path):
    folder = images_and_labels(tmp_path / "set", labels=3)
    plan(folder, tmp_path / "a", device="cpu", ignore_label=3, labels={1: "liver", 2: "b"})
    values = metadata_of(tmp_path / "a")
    assert values["medseg"]["ignore_label"] == 3
    assert values["network_data_format"]["outputs"]["pred"]["channel_def"] == {
        "0": "background",
        "1": "liver",
        "2": "b",
    }


def test_several_cases_of_a_patient_stay_together(tmp_path):
    folder = images_and_labels(tmp_path / "set", cases=6)
    for n in range(6):
        for part in ("images", "labels"):
            (folder / f"{part}/case_{n}.nii.gz").rename(folder / f"{part}/patient{n // 2:03}_frame{n % 2}.nii.gz")
    plan(folder, tmp_path / "bundle", device="cpu")
    split = metadata_of(tmp_path / "bundle")["medseg"]["split"]
    assert split["by_patient"] is True
    parts = medseg.cases.split_cases(medseg.cases.find_cases(folder), **split)
    assert {name.split("_")[0] for name in parts["training"]} & {
        name.split("_")[0] for name in parts["validation"]
    } == set()


def test_a_gpu_that_is_not_here_can_be_planned_for(tmp_path):
    result = plan(images_and_labels(tmp_path / "set"), tmp_path / "bundle", device="cuda", budget_mib=4000)
    assert result["choices"]["features"]["value"][0] == 32
    assert result["choices"]["max_minutes"]["value"] == 0
    assert code_of(plan, tmp_path / "set", tmp_path / "other", device="gpu") == "CONFIG_BAD_VALUE"


def test_channels_and_regions_train_and_predict(tmp_path):
    labels = {"background": 0, "whole": [1, 2, 3], "core": [2, 3], "enhancing": [3], "ignore": 4}
    folder = nnunet_raw(tmp_path / "set", labels=labels, labels_there=4)
    plan(folder, tmp_path / "bundle", device="cpu", features=[2, 2, 2], patch_size=[16, 16, 16])
    medseg.train(tmp_path / "bundle", folder, output_dir=str(tmp_path / "run"), **TINY)
    shutil.copytree(folder / "imagesTs", tmp_path / "elsewhere")
    records = medseg.predict(tmp_path / "run", tmp_path / "elsewhere", tmp_path / "out", device="cpu")
    assert [(record["case"], record["status"]) for record in records] == [
        ("case_004", "done"),
        ("case_005", "done"),
    ]


@pytest.mark.parametrize(
    "given",
    [
        {"patch_size": [0, 0, 0]},
        {"patch_size": [16, 16]},
        {"batch_size": 0},
        {"percentiles": [99, 1]},
        {"learning_rate": -1},
        {"largest_component": [9]},
        {"strides": [[1, 1, 1]]},
    ],
    ids=str,
)
def test_what_no_run_could_take_is_refused_and_nothing_is_written(given, tmp_path):
    folder = images_and_labels(tmp_path / "set")
    assert code_of(plan, folder, tmp_path / "bundle", device="cpu", **given) == "CONFIG_BAD_VALUE"
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def test_levels_follow_the_features_that_are_given(tmp_path):
    folder = images_and_labels(tmp_path / "set", shape=(32, 32, 32))
    plan(folder, tmp_path / "bundle", device="cpu", architecture="dynunet", features=[2, 4, 6])
    network = metadata_of(tmp_path / "bundle")["medseg"]["network"]
    assert len(network["strides"]) == len(network["kernels"]) == 3
