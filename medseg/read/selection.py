"""Which volume of a path is meant, where several are there, and what may be repaired in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from fnmatch import fnmatch
from typing import Any

from medseg.read.repair import repairs_of
from medseg.read.volume import Finding


@dataclass(frozen=True)
class Selection:
    """Which volume is meant, and what may be repaired in it; what is empty is not asked for.

    Attributes
    ----------
    series_uid
        DICOM SeriesInstanceUID.
    description
        Pattern for DICOM SeriesDescription, with ``*`` and ``?``, in either case.
    modality
        Such as ``"CT"``. Files that do not say theirs (NIfTI) pass.
    repair
        ``"tilt"``, ``"uneven"`` or both: which DICOM slices are resampled to a straight grid, not refused.

    Raises
    ------
    InputError
        `CONFIG_BAD_VALUE`: a repair of another name.
    """

    series_uid: str = ""
    description: str = ""
    modality: str = ""
    repair: Sequence[str] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "repair", repairs_of(self.repair))

    def as_json(self) -> dict[str, Any]:
        """Return what is asked for; these are arguments of `medseg.read_volume`."""
        asked = {name: value for name, value in asdict(self).items() if value}
        return asked | ({"repair": list(self.repair)} if self.repair else {})

    def __str__(self) -> str:
        return " and ".join(f"{name} {value!r}" for name, value in self.as_json().items() if name != "repair")

    def matches(self, finding: Finding) -> bool:
        """Say whether a finding is, or may be part of, what is meant."""
        if finding.verdict == "refused" and not finding.series_uid:
            return True
        description = self.description.casefold()
        return (
            self.series_uid in ("", finding.series_uid)
            and (not description or fnmatch(finding.description.casefold(), description))
            and (not self.modality or finding.modality in ("", self.modality))
        )
