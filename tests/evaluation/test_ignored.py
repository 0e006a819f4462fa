"""Voxels that nobody labelled count in no metric: made up, and the scribbles of ACDC."""

import json
import shutil

import nibabel
import numpy as np
import pytest
from oracles.tumours import write_bundle

from medseg import InputError, evaluate


@pytest.fixture
def bundle(tmp_path):
    """A bundle of the labels 1 to 3 that ignores 4."""
    return write_bundle(tmp_path / "bundle", ignore_label=4)


def folders(save, prediction, reference):
    return save("p/a.nii.gz", prediction).parent, save("r/a.nii.gz", reference).parent


def test_ignored_voxels_are_in_neither_mask(save, bundle, tmp_path):
    reference = np.zeros((10, 10, 10), np.uint8)
    reference[2:6, 2:8, 2:8] = 1
    prediction = reference.copy()
    prediction[7:, 2:8, 2:8] = 1  # wrong, but nobody knows
    prediction[2, 2, 2] = 0  # wrong, and known
    reference[6:] = 4
    summary = evaluate(*folders(save, prediction, reference), tmp_path / "out", bundle=bundle)
    values, n = summary["labels"]["1"], 4 * 6 * 6
    assert values["dice"]["mean"] == pytest.approx(2 * (n - 1) / (2 * n - 1))
    assert values["volume_ml"]["mean"] == pytest.approx((n - 1) / 1000)
    assert values["hd95_mm"]["mean"] <= 1
    assert list(summary["labels"]) == ["1", "2", "3"]
    assert summary["policy"]["ignore_label"] == 4


def test_a_prediction_must_not_hold_it(save, bundle, tmp_path):
    one, other = np.zeros((2, 6, 6, 6), np.uint8)
    one[1], other[1] = 4, 1
    for maps, metrics, code in (
        ((one, other), None, "LABEL_UNKNOWN_ID"),
        ((other, one), "ece", "CONFIG_BAD_VALUE"),
    ):
        with pytest.raises(InputError) as caught:
            evaluate(*folders(save, *maps), tmp_path / "out", bundle=bundle, metrics=metrics)
        assert caught.value.code == code


def test_whole_labels_of_acdc_agree_with_its_scribbles(real_data, bundle, tmp_path):
    for kind in ("labels", "scribbles"):
        (tmp_path / kind).mkdir()
        for path in sorted((real_data / "acdc" / kind).glob("patient00[12]_*.nii.gz")):
            shutil.copy(path, tmp_path / kind)
    scribbles = [np.asarray(nibabel.load(path).dataobj) for path in (tmp_path / "scribbles").iterdir()]
    assert {4} < set(np.unique(scribbles[0]))
    summary = evaluate(tmp_path / "labels", tmp_path / "scribbles", tmp_path / "out", bundle=bundle)
    assert summary["mean"]["dice"]["mean"] > 0.95
    volumes_ml = [entry["volume_ml"]["mean"] for entry in summary["labels"].values()]
    assert max(volumes_ml) < 50  # strokes alone
    assert json.loads((tmp_path / "out/summary.json").read_text())["policy"]["ignore_label"] == 4
