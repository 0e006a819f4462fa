"""What a bundle's labels are: names, SNOMED CT codes and colours, the same in DICOM objects and pictures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from medseg.bundle.metadata import Metadata
from medseg.errors import InputError, some

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
    region
        Of an overlapping region, the ids of its voxels, `label` among them; empty for a label.
    """

    label: int
    name: str
    colour_rgb: tuple[int, int, int]
    category: Code = ANATOMICAL_STRUCTURE
    type: Code = TISSUE
    type_modifier: Code | None = None
    anatomic_region: Code | None = None
    region: tuple[int, ...] = ()

    @property
    def ids(self) -> tuple[int, ...]:
        """The ids of its voxels in a label map."""
        return self.region or (self.label,)


def segments_of(metadata: Metadata) -> list[Segment]:
    """Return the segments of a bundle, background left out, in the order of their label ids.

    Parameters
    ----------
    metadata
        Names stand in the output's ``channel_def``; codes and colours under ``medseg``, ``segments``, by name.
        A label without an entry is of the category Anatomical Structure and the type Tissue; one without a colour
        has that of its id in `PALETTE`.

    Raises
    ------
    InputError
        `CONFIG_BAD_VALUE`: an entry that is no code or colour, is of no label, or is plainly of another label; two
        labels of one name.
    """
    names, entries = metadata.label_names, metadata.segment_entries
    _check_names(list(names.values()), entries)
    segments = [
        Segment(
            label,
            name[:NAME_LENGTH],
            **{"colour_rgb": PALETTE[(label - 1) % len(PALETTE)], **_checked(name, entries.get(name, {}))},
            region=tuple(metadata.regions.get(name, ())),
        )
        for label, name in sorted(names.items())
    ]
    _check_types(segments, entries)
    return segments


def check_labels(metadata: Metadata) -> None:
    """Refuse a bundle whose labels, their codes and its network do not belong together.

    Raises
    ------
    InputError
        `CONFIG_BAD_VALUE`: as `segments_of`, or ids in ``channel_def`` that are not the network's channels; of
        regions, other names in ``channel_def``, or in another order.
    """
    segments = segments_of(metadata)
    if metadata.regions:
        _check_regions(metadata)
        return
    ids, channels = [0, *(segment.label for segment in segments)], metadata.network_labels
    if channels is not None and ids != list(range(channels)):
        raise InputError(
            "CONFIG_BAD_VALUE",
            f"metadata.json: channel_def names the labels {ids}, background as 0, and medseg, network, labels is "
            f"{channels}, which is 0 to {channels - 1}; make them agree, num_channels too, and train anew if the "
            "network changes",
        )


def _check_regions(metadata: Metadata) -> None:
    names, channels = list(metadata.regions), metadata.network_labels
    if metadata.channel_names != names or channels not in (None, len(names)):
        raise InputError(
            "CONFIG_BAD_VALUE",
            f"metadata.json: medseg, regions names {names}, channel_def {metadata.channel_names}, and medseg, "
            f"network, labels is {channels}; a network of regions has one channel a region, in this order, from 0 "
            "on, and none for the background",
        )


def _check_names(names: Sequence[str], entries: Mapping[str, Any]) -> None:
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise InputError("CONFIG_BAD_VALUE", f"metadata.json, channel_def: two labels are called {twice[0]!r}")
    strangers = sorted(set(entries) - set(names))
    if strangers:
        raise InputError(
            "CONFIG_BAD_VALUE",
            f"metadata.json, medseg, segments: {some(strangers)} is no label of channel_def, whose names are "
            f"{some(names)}; entries stand under the label's name: rename them, or delete those of other labels",
        )


def _check_types(segments: Sequence[Segment], entries: Mapping[str, Any]) -> None:
    """Refuse a code that means another label, as where an entry was renamed and its code was not."""
    for segment in segments:
        meaning = segment.type[2].casefold()
        others = {other.name.casefold() for other in segments} - {segment.name.casefold()}
        coded = "type" in entries.get(segment.name, {})
        if coded and meaning in others and meaning not in segment.name.casefold():
            raise InputError(
                "CONFIG_BAD_VALUE",
                f"metadata.json, medseg, segments, {segment.name}: its type means {segment.type[2]!r}, which is "
                "another label of this bundle; give the code of what the label is, or delete the entry",
            )


def _checked(name: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    known = {"category", "type", "type_modifier", "anatomic_region", "colour_rgb"}
    for key, value in entry.items():
        if key == "colour_rgb":
            good = len(value) == 3 and all(isinstance(part, int) and 0 <= part <= 255 for part in value)
        else:
            good = key in known and len(value) == 3 and all(isinstance(part, str) and part for part in value)
        if not good:
            raise InputError(
                "CONFIG_BAD_VALUE",
                f"metadata.json, medseg, segments, {name}, {key}: {value!r}; codes are [value, scheme, meaning] "
                f"under {', '.join(sorted(known - {'colour_rgb'}))}, colour_rgb three numbers from 0 to 255",
            )
    return {key: tuple(value) for key, value in entry.items()}


def reference_ids(metadata: Mapping[str, Any]) -> list[int]:
    """Return the ids that reference label maps may hold, from the content of a bundle's metadata."""
    return Metadata(metadata).reference_ids


def label_colours(metadata: Mapping[str, Any]) -> dict[int, tuple[int, int, int]]:
    """Return each label's colour, 0 to 255, from the content of a bundle's metadata."""
    return {segment.label: segment.colour_rgb for segment in segments_of(Metadata(metadata))}
