"""Regions: masks of unions of ids, and one label map that holds them all."""

import numpy as np
import pytest
import torch

from medseg import InputError
from medseg.cases import painted, painted_ids, region_channels, region_mask

NESTED = {"whole tumour": [1, 2, 3], "tumour core": [2, 3], "enhancing": [3]}


def test_channels_are_unions_of_ids():
    labels = torch.tensor([0, 1, 2, 3, 9]).reshape(1, 1, 5).float()
    expected = [[0, 1, 1, 1, 0], [0, 0, 1, 1, 0], [0, 0, 0, 1, 0]]
    assert region_channels(labels, NESTED)[0].tolist() == expected
    assert region_channels(labels.to(torch.uint8), NESTED).dtype == torch.float32
    for ids, mask in zip(NESTED.values(), expected, strict=True):
        assert region_mask(np.array([0, 1, 2, 3, 9]), ids).tolist() == [bool(n) for n in mask]


def test_each_region_has_an_id_of_its_own():
    assert painted_ids(NESTED) == {"whole tumour": 1, "tumour core": 2, "enhancing": 3}
    assert painted_ids({"kidney": [1, 2, 3], "masses": [2, 3], "tumour": [2]}) == {
        "kidney": 1,
        "masses": 3,
        "tumour": 2,
    }


def test_painting_keeps_every_region():
    labels = np.arange(5)
    for regions in (NESTED, {"kidney": [1, 2, 3], "masses": [2, 3], "tumour": [2]}):
        found = painted(labels, regions)
        assert found[4] == 0
        for ids in regions.values():
            assert region_mask(found, ids).tolist() == region_mask(labels, ids).tolist()


@pytest.mark.parametrize(
    "regions", [{"a": [1, 2], "b": [1], "c": [2]}, {"a": []}, {"a": [0]}, {"a": 1}, {"a": ["1"]}, {"a": [True]}]
)
def test_regions_without_an_id_are_refused(regions):
    with pytest.raises(InputError) as caught:
        painted_ids(regions)
    assert caught.value.code == "CONFIG_BAD_VALUE"
