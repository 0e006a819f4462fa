"""SNOMED codes of names that DICOM knows; none for others."""

import pytest

from medseg.planning.codes import segment_of


@pytest.mark.parametrize(
    ("name", "code", "side"),
    [("Liver", "10200004", None), ("left kidney", "64033007", "Left"), ("kidney_right", "64033007", "Right"),
     ("Left Ventricle", "87878005", None), ("tumour", "108369006", None), ("Spinal cord", "2748008", None)],
)  # fmt: skip
def test_known_names(name, code, side):
    entry = segment_of(name)
    assert entry["type"][:2] == [code, "SCT"]
    assert entry.get("type_modifier", [None] * 3)[2] == side


@pytest.mark.parametrize("name", ["label 1", "", "left", "left right kidney", "peripheral zone of what"])
def test_unknown_names(name):
    assert segment_of(name) == {}
