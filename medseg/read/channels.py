"""Several images of one body part as the channels of one volume."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from medseg.errors import InputError
from medseg.geometry import GRID_TOLERANCE_MM, corners_apart_mm
from medseg.read.volume import Finding, Volume


def joined(volumes: Sequence[Volume]) -> Volume:
    """Return volumes of one channel each as one, in their order; its grid, source and the like are the first's.

    Raises
    ------
    InputError
        `GEOMETRY_CHANNEL_GRID`, as `check_channel_grid`.
    """
    first = volumes[0]
    for volume in volumes[1:]:
        check_channel_grid(first, volume)
    codes = tuple(dict.fromkeys(code for volume in volumes for code in volume.codes))
    return replace(first, codes=codes, further=tuple(volume.array for volume in volumes[1:]))


def check_channel_grid(first: Volume | Finding, second: Volume | Finding) -> None:
    """Refuse two channels whose voxels do not lie at the same places; what has no grid passes.

    Raises
    ------
    InputError
        `GEOMETRY_CHANNEL_GRID`: the message says of which and how.
    """
    if first.affine is None or second.affine is None:
        return
    shapes = [one.array.shape if isinstance(one, Volume) else tuple(one.shape or ()) for one in (first, second)]
    apart_mm = corners_apart_mm(first.affine, shapes[0], second.affine, shapes[1])
    if shapes[0] == shapes[1] and apart_mm <= GRID_TOLERANCE_MM:
        return
    found = "" if shapes[0] == shapes[1] else f"shapes {shapes[0]} and {shapes[1]}, "
    names = [str(Path(one.source[0])) if one.source else "an array" for one in (first, second)]
    raise InputError(
        "GEOMETRY_CHANNEL_GRID",
        f"{names[0]} and {names[1]} are channels of one case and lie on different grids ({found}corners up to "
        f"{apart_mm:.3g} mm apart); register them and resample them onto one grid",
    )
