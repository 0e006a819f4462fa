"""What a bundle's labels are: names, SNOMED CT codes and colours, the same in DICOM objects and pictures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from medseg.bundle.metadata import Metadata
from medseg.errors import InputError

Code = tuple[str, str, str]  # value, coding scheme, meaning; SNOMED CT is "SCT" (PS3.16 section 8)

# A label without an entry is some tissue of the body, and its name says the rest (PS3.16 CID 7150 and 7191)
ANATOMICAL_STRUCTURE: Code = ("91723000", "SCT", "Anatomical Structure")
TISSUE: Code = ("85756007", "SCT", "Tissue")
NAME_LENGTH = 64  # characters of the value representation LO
# Okabe and Ito's colours, told apart by colour-blind readers too (Color Universal Design, 2008)
PALETTE = (
    *((230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66)),
    *((0, 114, 178), (213, 94, 0), (204, 121, 167)),
)


@dataclass(frozen=True)
class Segment:
    """One label.

    Attributes
    ----------
    label
        Its id in label maps.
    name
        As the bundle calls it.
    category, type, type_modifier, anatomic_region
        What it is, as codes: (value, scheme, meaning).
    colour_rgb
        0 to 255 each.
    """

    label: int
    name: str
    colour_rgb: tuple[int, int, int]
    category: Code = ANATOMICAL_STRUCTURE
    type: Code = TISSUE
    type_modifier: Code | None = None
    anatomic_region: Code | None = None


def segments_of(metadata: Metadata) -> list[Segment]:
    """Return the segments of a bundle, background left out, in the order of their label ids.

    Parameters
    ----------
    metadata
        Names stand in the output's ``channel_def``; codes and colours under ``medseg``, ``segments``, by label id.
        A label without an entry is of the category Anatomical Structure and the type Tissue; one without a colour
        has that of its id in `PALETTE`.

    Raises
    ------
    InputError
        `CONFIG_BAD_VALUE`: an entry that is no code or colour, or is of no label.
    """
    names, entries = metadata.label_names, metadata.segment_entries
    strangers = sorted(set(entries) - {str(label) for label in names})
    if strangers:
        raise InputError(
            "CONFIG_BAD_VALUE",
            f"metadata.json, medseg, segments: {', '.join(strangers)}; the bundle's labels are {sorted(names)}",
        )
    return [
        Segment(
            label,
            name[:NAME_LENGTH],
            **{"colour_rgb": PALETTE[(label - 1) % len(PALETTE)], **_checked(label, entries.get(str(label), {}))},
        )
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


def label_colours(metadata: Mapping[str, Any]) -> dict[int, tuple[int, int, int]]:
    """Return each label's colour, 0 to 255, from the content of a bundle's metadata."""
    return {segment.label: segment.colour_rgb for segment in segments_of(Metadata(metadata))}
