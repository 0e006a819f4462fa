"""Each label's probabilities as one ``.npz`` file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from medseg.files import atomic
from medseg.geometry import shifted


def write_probabilities(path: str | Path, crops: Mapping[int, tuple[list[int], np.ndarray]], affine: Any) -> None:
    """Write each label's probabilities to an ``.npz`` file.

    Parameters
    ----------
    crops
        What `Confidence.crops` returns.
    affine
        4×4, index on the network's grid to RAS+ mm. ``affine_<label>`` in the file is that of the crop
        ``label_<label>``, float16, axes (I, J, K); what lies outside it is less probable than 1/255.
    """
    arrays: dict[str, np.ndarray] = {}
    for label, (begin, crop) in crops.items():
        arrays |= {f"label_{label}": crop, f"affine_{label}": shifted(np.asarray(affine, float), begin)}
    with atomic(path) as part:
        np.savez_compressed(part, allow_pickle=False, **arrays)
