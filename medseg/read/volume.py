"""What reading gives: an array, where it lies in the patient, and what was tolerated."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from medseg.errors import InputError
from medseg.geometry import spacing_mm_of
from medseg.read.repair import Repair
from medseg.system_memory import free_bytes


@dataclass(frozen=True)
class Volume:
    """One scalar volume.

    Attributes
    ----------
    array
        Voxels, axes (I, J, K).
    affine
        4×4, voxel index to RAS+ millimetres.
    modality
        DICOM modality such as ``"CT"``; empty where the file does not say.
    series_uid
        DICOM SeriesInstanceUID; empty for other formats.
    codes
        What was tolerated while reading, by name.
    source
        The files, in slice order; one file where it holds the whole volume.
    frames
        For multi-frame DICOM, the number (from 1) of each slice's frame in its file; empty otherwise.
    repair
        Where the slices that were read lie in this volume, if it was resampled from them; else None.
    further
        Voxels of the channels after the first, each as `array`; all else is the first one's. Empty for most.
    """

    array: np.ndarray
    affine: np.ndarray
    modality: str = ""
    series_uid: str = ""
    codes: tuple[str, ...] = ()
    source: tuple[Path, ...] = field(default=(), repr=False)
    frames: tuple[int, ...] = field(default=(), repr=False)
    repair: Repair | None = field(default=None, repr=False)
    further: tuple[np.ndarray, ...] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        if self.array.ndim != 3:
            raise InputError("GEOMETRY_NOT_3D", f"a volume has three axes, this one {self.array.ndim}")
        check_affine(self.affine, "the volume")

    @property
    def channels(self) -> tuple[np.ndarray, ...]:
        """The voxels of each channel, (I, J, K)."""
        return (self.array, *self.further)

    @property
    def name(self) -> str:
        """What to call it in a message: its first file, where it was read from one."""
        return str(self.source[0]) if self.source else "the array"

    @property
    def spacing_mm(self) -> tuple[float, ...]:
        return spacing_mm_of(self.affine)


def check_affine(affine: np.ndarray, name: object) -> None:
    """Refuse an affine that places no voxel: not 4×4 and affine, not finite, or singular."""
    if affine.shape != (4, 4) or not np.allclose(affine[3], [0, 0, 0, 1]):
        raise InputError(
            "GEOMETRY_BAD_AFFINE",
            f"{name}: its affine has shape {affine.shape}, or another last row than 0 0 0 1; 4×4 is needed, voxel "
            "index to RAS+ mm",
        )
    directions = affine[:3, :3]
    if not np.isfinite(affine).all() or abs(np.linalg.det(directions)) < 1e-9:
        raise InputError(
            "GEOMETRY_BAD_AFFINE",
            f"{name}: its affine has NaN, infinite or linearly dependent columns, so its voxels cannot be placed; "
            "export it again with a valid orientation",
        )


def check_fits(needed_bytes: int, path: object) -> None:
    """Refuse what the free memory, of the machine and of this process's control group, cannot hold."""
    free = free_bytes()
    if needed_bytes > free:
        raise InputError(
            "FILE_TOO_LARGE",
            f"{path} needs {needed_bytes / 2**30:.1f} GiB of memory, {free / 2**30:.1f} GiB are free; "
            "crop or resample it elsewhere",
        )


@dataclass(frozen=True)
class Finding:
    """What was found at a path by headers alone: a volume that can be read, or why there is none.

    Attributes
    ----------
    source
        Its files; of a volume, in slice order.
    verdict
        ``"ok"``, ``"refused"`` or ``"skipped"`` (nothing to segment in it).
    codes
        What was tolerated, or why it was refused or skipped.
    message
        The refusal in words; without anything from the file's header.
    shape, affine
        Of the volume, axes (I, J, K), to RAS+ mm; None where there is none.
    channels
        How many it has.
    series_number, description
        DICOM SeriesNumber and SeriesDescription, to know a series by; free text, for no log and no message.
    load
        Reads the voxels.
    """

    source: tuple[Path, ...]
    verdict: str
    codes: tuple[str, ...] = ()
    message: str = ""
    modality: str = ""
    series_uid: str = ""
    shape: tuple[int, ...] | None = None
    affine: np.ndarray | None = None
    series_number: str = field(default="", repr=False)
    description: str = field(default="", repr=False)
    load: Callable[[], Volume] | None = field(default=None, repr=False)
    channels: int = 1

    @classmethod
    def refused(
        cls, source: tuple[Path, ...], error: InputError, verdict: str = "refused", **facts: str
    ) -> Finding:
        return cls(source, verdict, (error.code,), str(error.args[0]), **facts)  # type: ignore[arg-type]
