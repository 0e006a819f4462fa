"""The report's parts: packed volumes, budgets, the order of cases, distributions drawn to scale."""

import numpy as np
import pytest
from oracles.report_cases import AFFINE, unpack, volumes

from medseg.report import evidence
from medseg.report.evidence import gather, pack, strides
from medseg.report.scenes import Views, scene_of


@pytest.mark.parametrize("many", [False, True])
def test_packed_volumes_come_back(many):
    rng = np.random.default_rng(0)
    reference = rng.integers(0, 1000 if many else 4, (9, 8, 7)) * 3
    prediction = np.where(rng.random(reference.shape) < 0.3, 0, reference)
    scene = scene_of(Views(rng.normal(size=reference.shape), reference, prediction, np.eye(4), second=reference))
    ids = np.unique([0, *reference.ravel()])
    text, facts = pack(scene, {str(ids[1]): "first"})
    image, maps = unpack(text, facts)
    assert facts["wide"] == many
    assert facts["names"][:3] == ["background", "first", str(ids[2])]
    for labels, found in zip((scene.reference, *scene.predictions), maps, strict=True):
        np.testing.assert_array_equal(ids[found], labels.transpose(2, 1, 0))
    assert np.ptp(image) == 255


def test_large_volumes_are_thinned_out_along_their_finest_axes(monkeypatch):
    assert strides((64, 50, 36), (1, 1, 1)) == (1, 1, 1)
    assert strides((400, 300, 100), (0.7, 0.7, 5)) == (3, 3, 1)
    monkeypatch.setattr(evidence, "MAX_VOXELS", 1)
    assert strides((1, 7, 3), (1, 1, 1)) == (1, 7, 3)


def test_the_worst_cases_that_fit_have_pictures_and_those_asked_for(monkeypatch):
    cases = [{"id": str(i)} for i in range(12)]

    def read(case):
        reference, ours, _ = volumes(int(case["id"]) + 1)
        return Views(None, reference, ours, AFFINE)

    everything = gather(cases, read, show=(), names={}, draw=lambda *_: None)
    assert list(everything) == [case["id"] for case in cases]
    sizes = [len(its.pictures[0].base64) for its in everything.values()]
    monkeypatch.setattr(evidence, "PICTURES_MIB", (sum(sizes[:4]) + 1) / 2**20)
    monkeypatch.setattr(evidence, "VOLUMES_MIB", len(everything["0"].volume) / 2**20)
    for threads in (1, 3):
        monkeypatch.setattr(evidence, "THREADS", threads)
        some = gather(cases, read, show=["9"], names={}, draw=lambda *_: None)
        assert set(some) == {"0", "1", "2", "3", "9"}
        assert {name for name, its in some.items() if its.volume} == {"0", "9"}
