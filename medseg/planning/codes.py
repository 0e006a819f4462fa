"""SNOMED CT codes of labels by their names, as DICOM's own context groups have them (PS3.16)."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

# Context group, and the category of what it lists (CID 7150): organs and regions, tissues, what is diseased
GROUPS = ((7192, "AnatomicalStructure"), (7191, "Tissue"), (7159, "MorphologicallyAbnormalStructure"))
SIDES = {"left": ["7771000", "SCT", "Left"], "right": ["24028007", "SCT", "Right"]}
OTHER_NAMES = {  # what people write, and DICOM's word for it
    "tumour": "neoplasm",
    "tumor": "neoplasm",
    "oedema": "edema",
    "oesophagus": "esophagus",
    "urinarybladder": "bladder",
}


def segment_of(name: str) -> dict[str, Any]:
    """Return a label's codes as ``medseg::segments`` has them, ``category`` and ``type``; empty for unknown names.

    A name is known if it is DICOM's word for a structure, spelt with or without spaces, with ``left`` or ``right``
    before or after it, which becomes the ``type_modifier``.
    """
    words = re.findall(r"[a-z0-9]+", name.lower())
    known = _known()
    found = known.get("".join(words)) or known.get(OTHER_NAMES.get("".join(words), ""))
    if found:
        return dict(found)
    sides = [word for word in words if word in SIDES]
    bare = "".join(word for word in words if word not in SIDES)
    found = known.get(bare) or known.get(OTHER_NAMES.get(bare, ""))
    return {**found, "type_modifier": SIDES[sides[0]]} if found and len(sides) == 1 else {}


@cache
def _known() -> dict[str, dict[str, Any]]:
    """Return codes by DICOM's words for them without spaces, the first group's where several have one."""
    from pydicom.sr.codedict import codes

    known: dict[str, dict[str, Any]] = {}
    for group, category in GROUPS:
        listed, kind = getattr(codes, f"cid{group}"), getattr(codes.cid7150, category)
        for code in listed.concepts.values():
            if code.scheme_designator == "SCT":
                entry = {"category": _triple(kind), "type": _triple(code)}
                known.setdefault(re.sub(r"[^a-z0-9]", "", code.meaning.lower()), entry)
    return known


def _triple(code: Any) -> list[str]:
    return [code.value, code.scheme_designator, code.meaning]
