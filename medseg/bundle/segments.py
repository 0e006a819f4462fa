"""What a bundle's metadata says of its labels, for the DICOM objects that name them by code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from medseg.bundle.metadata import label_names
from medseg.errors import InputError

Code = tuple[str, str, str]  # value, coding scheme, meaning; SNOMED CT is "SCT" (PS3.16 section 8)

# A label without an entry is some tissue of the body, and its name says the rest (PS3.16 CID 7150 and 7191)
ANATOMICAL_STRUCTURE: Code = ("91723000", "SCT", "Anatomical Structure")
TISSUE: Code = ("85756007", "SCT", "Tissue")
NAME_LENGTH = 64  # characters of the value representation LO


@dataclass(frozen=True)
class Segment:
    """One label: its id in label maps, its name, and what it is."""

    label: int
    name: str
    category: Code = ANATOMICAL_STRUCTURE
    type: Code = TISSUE
    type_modifier: Code | None = None
    anatomic_region: Code | None = None
    colour_rgb: tuple[int, int, int] | None = None


def segments_of(metadata: Mapping[str, Any]) -> list[Segment]:
    """Return the segments of a bundle, background left out, in the order of their label ids.

    Parameters
    ----------
    metadata
        The bundle's ``metadata.json``: names stand in the output's ``channel_def``; codes and colours under
        ``medseg``, ``segments``, by label id. A label without an entry is of the category Anatomical
        Structure and the type Tissue, and has no colour.

    Raises
    ------
    InputError
        `CONFIG_BAD_VALUE`: an entry that is no code or colour, or is of no label.
    """
    names, entries = label_names(metadata), metadata.get("medseg", {}).get("segments", {})
    strangers = sorted(set(entries) - {str(label) for label in names})
    if strangers:
        raise InputError(
            "CONFIG_BAD_VALUE",
            f"metadata.json, medseg, segments: {', '.join(strangers)}; the bundle's labels are {sorted(names)}",
        )
    return [
        Segment(label, name[:NAME_LENGTH], **_checked(label, entries.get(str(label), {})))
        for label, name in sorted(names.items())
    ]


def _checked(label: int, entry: Mapping[str, Any]) -> dict[str, Any]:
    known = {"category", "type", "type_modifier", "anatomic_region", "colour_rgb"}
    for key, value in entry.items():
        if key == "colour_rgb":
            good = len(value) == 3 and all(isinstance(part, int) and 0 <= part <= 255 for part in value)
        else:
            good = key in known and len(value) == 3 and all(isinstance(part, str) and part for part in value)
        if not good:
            raise InputError(
                "CONFIG_BAD_VALUE",
                f"metadata.json, medseg, segments, {label}, {key}: {value!r}; codes are [value, scheme, meaning] "
                f"under {', '.join(sorted(known - {'colour_rgb'}))}, colour_rgb three numbers from 0 to 255",
            )
    return {key: tuple(value) for key, value in entry.items()}
