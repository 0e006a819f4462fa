"""A model that stays in memory gives arrays the labels that files get."""

import math
import shutil

import numpy as np
import pytest
import torch
from project import BUNDLES, SAMPLES

import medseg
from medseg.prediction.model import open_model

BUNDLE = BUNDLES / "hippocampus_mr_unet3d"
CASE = SAMPLES / "mr/images/mr_00.nii.gz"


def test_arrays_volumes_and_paths_get_the_labels_that_files_get(weights, tmp_path):
    how = {"weights": weights, "device": "cpu"}
    medseg.predict(BUNDLE, CASE, tmp_path, **how)
    written = medseg.read_volume(tmp_path / "mr_00.nii.gz")
    volume = medseg.read_volume(CASE)
    from_array = medseg.predict(BUNDLE, volume.array, affine=volume.affine, **how)
    from_others = medseg.predict(BUNDLE, [volume, CASE, str(CASE)], **how)
    for labels in (from_array, *from_others):
        assert labels.array.dtype == np.uint8
        np.testing.assert_array_equal(labels.array, written.array)
        np.testing.assert_allclose(labels.affine, volume.affine)


def test_the_model_is_opened_once_until_its_weights_change(weights, tmp_path):
    mine = tmp_path / "mine.pt"
    shutil.copy(weights, mine)
    first = open_model(BUNDLE, weights=str(mine), device="cpu")
    assert open_model(BUNDLE, weights=str(mine), device="cpu") is first
    torch.save({k: v * 2 for k, v in torch.load(mine, weights_only=True).items()}, mine)
    assert open_model(BUNDLE, weights=str(mine), device="cpu") is not first


def test_what_lies_nowhere_or_is_mistyped_is_refused(weights):
    array = np.zeros((8, 8, 8), np.float32)
    with pytest.raises(medseg.InputError, match="affine="):
        medseg.predict(BUNDLE, array, weights=weights)
    with pytest.raises(medseg.InputError, match="weights"):
        medseg.predict(BUNDLE, array, affine=np.eye(4), wieghts=weights)
    with pytest.raises(medseg.InputError) as caught:
        medseg.predict(BUNDLE, array[:1], affine=np.eye(4), weights=weights)
    assert caught.value.code == "GEOMETRY_SINGLE_SLICE"


def test_arrays_and_volumes_meet_the_checks_that_files_meet(weights, tmp_path, save):
    """A NaN in an array was labelled in silence."""
    how = {"weights": weights, "device": "cpu"}
    broken = medseg.read_volume(CASE).array.astype(np.float32)
    broken[3, 4, 5] = np.nan
    constant = np.full((12, 12, 12), 5, np.int16)
    for data, affine in [(broken, np.eye(4)), (medseg.read.Volume(broken, np.eye(4)), None)]:
        with pytest.raises(medseg.InputError) as caught:
            medseg.predict(BUNDLE, data, affine=affine, **how)
        assert caught.value.code == "IMAGE_NOT_FINITE"
    expected = medseg.predict(BUNDLE, save("constant.nii.gz", constant), **how)
    found = medseg.predict(BUNDLE, constant, affine=np.eye(4), **how)
    assert "IMAGE_CONSTANT" in found.codes
    assert found.codes == expected.codes
    for data in (constant, [constant], medseg.read.Volume(constant, np.eye(4))):
        with pytest.raises(medseg.InputError, match="without one"):
            medseg.predict(BUNDLE, data, tmp_path / "out", affine=np.eye(4), **how)


def test_ensembles_and_mirroring_are_recorded_and_do_not_count_as_the_single_model(weights, tmp_path):
    other = tmp_path / "other.pt"
    torch.save({k: v + 0.01 for k, v in torch.load(weights, weights_only=True).items()}, other)
    (single,) = medseg.predict(BUNDLE, CASE, tmp_path / "out", weights=weights, device="cpu")
    both = {"weights": [weights, other], "mirror_axes": [0], "formats": ["nifti", "probabilities"]}
    (record,) = medseg.predict(BUNDLE, CASE, tmp_path / "out", device="cpu", **both)
    assert len(record["bundle"]["weights_sha256"]) == 2
    assert record["bundle"]["mirror_axes"] == [0]
    assert record["outputs"][0]["sha256"] != single["outputs"][0]["sha256"]
    assert medseg.predict(BUNDLE, CASE, tmp_path / "out", device="cpu", **both) == [record]  # done, not redone
    with np.load(tmp_path / "out/mr_00.probabilities.npz") as stored:
        for label in record["confidence"]:
            crop = stored[f"label_{label}"]
            assert crop.dtype == np.float16
            assert 0 <= crop.min() <= crop.max() <= 1
            assert stored[f"affine_{label}"].shape == (4, 4)


def test_the_record_says_how_sure_and_how_much_memory(weights, tmp_path):
    (record,) = medseg.predict(BUNDLE, CASE, tmp_path, weights=weights, device="cpu", budget_mib=20000)
    assert record["memory"]["budget_mib"] == 20000
    assert 0 < record["memory"]["predicted_mib"] < 20000
    for facts in record["confidence"].values():
        assert 0 < facts["mean_probability"] <= 1
        assert facts["mean_entropy_nats"] >= 0
        assert facts["components"] >= 1
        assert facts["voxels"] >= facts["components"]
    (record,) = medseg.predict(BUNDLE, CASE, tmp_path / "b", weights=weights, device="cpu", budget_mib=10)
    assert record["codes"] == ["MEMORY_TOO_SMALL"]


def test_a_label_that_was_missed_is_recorded_as_the_most_doubtful(weights, tmp_path):
    state = torch.load(weights, weights_only=True)
    bias = next(name for name in reversed(state) if name.endswith("bias"))
    state[bias] = torch.tensor([0.0, 0.0, -1e4])  # label 2 is nowhere the best
    torch.save(state, tmp_path / "misses.pt")
    (found,) = medseg.predict(BUNDLE, CASE, tmp_path / "found", weights=weights, device="cpu")
    (missed,) = medseg.predict(BUNDLE, CASE, tmp_path / "out", weights=tmp_path / "misses.pt", device="cpu")
    assert missed["confidence"]["2"] == {
        "voxels": 0,
        "mean_probability": 0.0,
        "mean_entropy_nats": round(math.log(3), 4),
        "components": 0,
    }
    others = [*found["confidence"].values(), missed["confidence"]["1"]]
    assert all(facts["mean_probability"] > 0 and facts["mean_entropy_nats"] < math.log(3) for facts in others)
