"""Three overlapping regions of four channels, with an ignored id: trained, predicted, written, evaluated."""

import json
import shutil

import nibabel
import numpy as np
import pydicom
import pytest
import torch
from make import write_dicom_series
from oracles.tumours import REGIONS, UNSURE, tumour_case, write_bundle, write_data_set

from medseg import evaluate, predict, train
from medseg.cases import painted, region_mask

PAINTED = {1: "whole tumour", 2: "tumour core", 3: "enhancing"}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A bundle of three regions, trained on label maps with `UNSURE` voxels, and its data set."""
    folder = tmp_path_factory.mktemp("regions")
    bundle = write_bundle(
        folder / "bundle",
        network={"labels": 3},
        regions=REGIONS,
        ignore_label=UNSURE,
        training={"max_epochs": 30, "val_interval": 15, "learning_rate": 0.01},
    )
    file = bundle / "configs/metadata.json"
    metadata = json.loads(file.read_text())
    metadata["network_data_format"]["outputs"]["pred"] |= {
        "num_channels": 3,
        "channel_def": dict(enumerate(REGIONS)),
    }
    file.write_text(json.dumps(metadata))
    data = write_data_set(folder / "data", unsure=True)
    run = train(bundle, data, output_dir=str(folder / "run"), device="cpu", max_minutes=0)
    assert run["outcome"]["best"]["dice"] > 0.3
    (bundle / "models").mkdir()
    shutil.copy(folder / "run/models/best.pt", bundle / "models/model.pt")
    return bundle, data


def scores_of(bundle, array):
    """Return the network's logits of an image on its own grid, where the bundle does not resample."""
    from monai.bundle import ConfigParser

    from medseg.bundle import open_config
    from medseg.read import Volume

    parser: ConfigParser = open_config(bundle, "inference", {"device": "cpu"}).parser()
    parts = {name: parser.get_parsed_content(name) for name in ("preprocessing", "network", "inferer")}
    channels = np.moveaxis(array, -1, 0)
    image = parts["preprocessing"]({"image": Volume(channels[0], np.eye(4), further=tuple(channels[1:]))})["image"]
    with torch.no_grad():
        return np.asarray(parts["inferer"](image[None], parts["network"].eval())[0])


def test_a_region_is_where_its_sigmoid_is_above_a_half_and_later_ones_cover_earlier_ones(model):
    bundle, _ = model
    image, _ = tumour_case(1)
    found = predict(bundle, np.moveaxis(image, -1, 0), affine=np.eye(4), device="cpu").array
    logits = scores_of(bundle, image)
    expected = np.select([logits[2] > 0, logits[1] > 0, logits[0] > 0], [3, 2, 1], 0)
    assert (found != expected).mean() < 1e-3  # float32's order of sums
    assert found.max() > 0


def test_records_tell_of_each_region(model, tmp_path):
    bundle, data = model
    record = predict(bundle, data, tmp_path / "out", device="cpu", formats=["nifti", "probabilities"])[0]
    labels = np.asarray(nibabel.load(tmp_path / "out/case_0.nii.gz").dataobj)
    assert list(record["confidence"]) == ["1", "2", "3"]
    whole = record["confidence"]["1"]
    assert 0.5 < whole["mean_probability"] <= 1
    assert whole["components"] >= 1
    assert 0.9 < whole["voxels"] / region_mask(labels, [1, 2, 3]).sum() <= 1
    stored = np.load(tmp_path / "out/case_0.probabilities.npz")
    assert stored["label_1"].max() > 0.5


def test_dice_is_of_regions_and_without_ignored_voxels(model, tmp_path):
    bundle, data = model
    predict(bundle, data, tmp_path / "out", device="cpu")
    summary = evaluate(tmp_path / "out", data, tmp_path / "evaluation", bundle=bundle)
    assert {int(i): label["name"] for i, label in summary["labels"].items()} == PAINTED
    expected = []
    for seed in range(4):
        predicted = np.asarray(nibabel.load(tmp_path / f"out/case_{seed}.nii.gz").dataobj)
        reference = tumour_case(seed)[1]
        counted = np.ones(reference.shape, bool)
        counted[:, :6] = False  # UNSURE
        masks = [region_mask(labels, [1, 2, 3]) & counted for labels in (predicted, reference)]
        expected.append(2 * (masks[0] & masks[1]).sum() / sum(mask.sum() for mask in masks))
    assert summary["labels"]["1"]["dice"]["mean"] == pytest.approx(np.mean(expected))
    assert summary["policy"]["ignore_label"] == UNSURE
    assert summary["policy"]["regions"]["1"] == [1, 2, 3]
    report = (tmp_path / "evaluation/report.html").read_text()
    assert all(name in report for name in REGIONS)


def test_the_references_themselves_are_perfect(model, tmp_path):
    """A label map painted as a model would is the reference, whatever stands where that is unsure."""
    (tmp_path / "painted").mkdir()
    for seed in range(4):
        labels = painted(tumour_case(seed)[1], REGIONS)
        nibabel.save(
            nibabel.Nifti1Image(labels, np.diag([-1.0, 1, 1, 1])), tmp_path / f"painted/case_{seed}.nii.gz"
        )
    summary = evaluate(tmp_path / "painted", model[1], tmp_path / "evaluation", bundle=model[0])
    assert summary["mean"]["dice"]["mean"] == 1
    assert summary["mean"]["hd95_mm"]["mean"] == 0


def test_an_ensemble_averages_sigmoids(model):
    from medseg.networks import Ensemble

    class Given(torch.nn.Module):
        def __init__(self, logits):
            super().__init__()
            self.logits = torch.tensor(logits)

        def forward(self, windows):
            return self.logits.view(1, -1, 1, 1, 1).expand(len(windows), -1, *windows.shape[2:])

    found = Ensemble([Given([4.0, -1.0]), Given([-1.0, -3.0])], overlapping=True)(torch.zeros(1, 1, 2, 2, 2))
    expected = torch.stack([torch.tensor([4.0, -1.0]), torch.tensor([-1.0, -3.0])]).sigmoid().mean(0)
    torch.testing.assert_close(found[0, :, 0, 0, 0].sigmoid(), expected)
    bundle, _ = model
    weights = [str(bundle / "models/model.pt")] * 2
    image = np.moveaxis(tumour_case(2)[0], -1, 0)
    one, two = (
        predict(bundle, image, affine=np.eye(4), device="cpu", **more).array for more in ({}, {"weights": weights})
    )
    assert (one != two).mean() < 1e-3


def test_dicom_seg_holds_overlapping_segments(tmp_path):
    from medseg.bundle import Metadata
    from medseg.read import read_volume
    from medseg.write import write_dicom_seg

    image, labels = tumour_case(0)
    write_dicom_series(tmp_path / "series", image[..., 0].astype(np.uint16), (1.0, 1.0, 1.0), "test")
    volume = read_volume(tmp_path / "series")
    values = {
        **{"name": "n", "version": "1", "medseg": {"regions": REGIONS}},
        "network_data_format": {"outputs": {"pred": {"channel_def": dict(enumerate(REGIONS))}}},
    }
    write_dicom_seg(tmp_path / "a.seg.dcm", labels, volume, Metadata(values))
    import highdicom

    seg = highdicom.seg.segread(tmp_path / "a.seg.dcm")
    assert [item.SegmentLabel for item in seg.SegmentSequence] == list(REGIONS)
    assert seg.SegmentsOverlap == "YES"
    total = sum(int(region_mask(labels, ids).sum()) for ids in REGIONS.values())
    assert int(pydicom.dcmread(tmp_path / "a.seg.dcm").pixel_array.sum()) == total
