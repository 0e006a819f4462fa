"""A label's codes are its own by name; what does not belong together is refused before a case is read."""

import json
import shutil
from copy import deepcopy

import numpy as np
import pydicom
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from oracles.dicom_series import pixels, write_series
from project import BUNDLES, code_of, medseg

from medseg import InputError, predict, read_volume
from medseg.bundle import open_config, read_metadata, segments_of
from medseg.bundle.metadata import Metadata
from medseg.networks import unet
from medseg.write.dicom_seg import write_dicom_seg

SPLEEN = BUNDLES / "spleen_ct_unet3d"
VALUES = read_metadata(SPLEEN).values
CODES = VALUES["medseg"]["segments"]["spleen"]
ORGANS = ["liver", "muscle", "spleen", "hip", "aorta"]


def with_labels(names, segments, channels=None) -> dict:
    """Return the spleen bundle's metadata with other labels."""
    values = deepcopy(VALUES)
    values["network_data_format"]["outputs"]["pred"]["channel_def"] = {
        str(i): name for i, name in enumerate(["background", *names])
    }
    values["medseg"]["segments"] = segments
    values["medseg"]["network"]["labels"] = len(names) + 1 if channels is None else channels
    return values


def copied(folder, values):
    shutil.copytree(SPLEEN, folder)
    (folder / "configs/metadata.json").write_text(json.dumps(values))
    return folder


@given(st.permutations(ORGANS))
def test_a_label_s_codes_follow_its_name_wherever_it_stands(names):
    for segment in segments_of(Metadata(with_labels(names, {"spleen": CODES}))):
        assert segment.name == names[segment.label - 1]
        assert segment.type[2] == ("Spleen" if segment.name == "spleen" else "Tissue")


def test_a_copied_bundle_with_other_labels_writes_the_codes_of_its_own(tmp_path):
    """With entries by id segment 1, the liver, was coded Spleen."""
    bundle = copied(tmp_path / "abdomen", with_labels(["liver", "muscle", "spleen", "hip"], {"spleen": CODES}))
    metadata = open_config(bundle, "inference").metadata
    volume = read_volume(write_series(tmp_path / "in", pixels()))
    write_dicom_seg(tmp_path / "a.dcm", np.ones(volume.array.shape, np.uint8), volume, metadata)
    said = {
        segment.SegmentLabel: segment.SegmentedPropertyTypeCodeSequence[0].CodeMeaning
        for segment in pydicom.dcmread(tmp_path / "a.dcm").SegmentSequence
    }
    assert said == {"liver": "Tissue", "muscle": "Tissue", "spleen": "Spleen", "hip": "Tissue"}


@pytest.mark.parametrize(
    ("values", "hint"),
    [
        (with_labels(["liver", "spleen"], {"1": CODES}), "under the label's name"),
        (with_labels(["liver"], {"spleen": CODES}), "is no label"),
        (with_labels(["liver", "spleen"], {"liver": CODES}), "another label"),
        (with_labels(["liver", "liver"], {}), "two labels"),
        (with_labels(["liver", "spleen"], {}, channels=2), "medseg, network, labels is 2"),
        (with_labels(["spleen"], {}, channels=3), "medseg, network, labels is 3"),
    ],
)
@pytest.mark.parametrize("job", ["training", "inference", "evaluating"])
def test_what_does_not_belong_together_is_refused_by_every_job(values, hint, job, tmp_path):
    bundle = copied(tmp_path / "bundle", values)
    with pytest.raises(InputError, match=hint) as caught:
        open_config(bundle, job)
    assert caught.value.code == "CONFIG_BAD_VALUE"


def test_a_part_may_bear_the_name_of_its_organ_in_its_code():
    tumour = {**CODES, "type_modifier": ["86049000", "SCT", "Neoplasm, Primary"]}
    values = with_labels(["spleen", "spleen tumour"], {"spleen tumour": tumour})
    assert [segment.type[2] for segment in segments_of(Metadata(values))] == ["Tissue", "Spleen"]


def test_weights_of_fewer_labels_are_refused_in_words(tmp_path):
    numbers = VALUES["medseg"]
    network = unet(patch_size=numbers["patch_size"], **numbers["network"])
    torch.save(network.state_dict(), tmp_path / "two.pt")
    bundle = copied(tmp_path / "bundle", with_labels(["liver", "spleen"], {}))
    with pytest.raises(InputError, match=r"it is of 2 labels.*labels is 3") as caught:
        predict(bundle, np.zeros((8, 8, 8), np.float32), affine=np.eye(4), weights=tmp_path / "two.pt")
    assert caught.value.code == "WEIGHTS_MISMATCH"
    done = medseg("predict", bundle, tmp_path, tmp_path / "out", "--weights", tmp_path / "two.pt", check=False)
    assert done.returncode == 2


def test_metadata_overridden_on_the_call_is_checked_too():
    assert code_of(open_config, SPLEEN, "training", {"_meta_::medseg::network::labels": 7}) == "CONFIG_BAD_VALUE"
