"""Which volume of a path is meant, where several are there."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from fnmatch import fnmatch

from medseg.read.volume import Finding


@dataclass(frozen=True)
class Selection:
    """Which volume is meant; what is empty is not asked for.

    Attributes
    ----------
    series_uid
        DICOM SeriesInstanceUID.
    description
        Pattern for DICOM SeriesDescription, with ``*`` and ``?``, in either case.
    modality
        Such as ``"CT"``. Files that do not say theirs (NIfTI) pass.
    """

    series_uid: str = ""
    description: str = ""
    modality: str = ""

    def as_json(self) -> dict[str, str]:
        """Return what is asked for."""
        return {name: value for name, value in asdict(self).items() if value}

    def __str__(self) -> str:
        return " and ".join(f"{name} {value!r}" for name, value in self.as_json().items())

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
