"""Which of a network's outputs are the scores of a window."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch.utils._pytree import tree_leaves

from medseg.errors import InputError


class OtherOutput(Exception):
    """A network gives something else than one tensor with scores for each voxel of a window."""


def only(output: Any, windows: torch.Tensor) -> torch.Tensor:
    """Return a network's one tensor of scores, which may be alone in a list, for `windows` (B, channels, …).

    Raises
    ------
    OtherOutput
        There are more, or its size is not that of the windows.
    """
    if isinstance(output, (list, tuple)) and len(output) == 1:
        output = output[0]
    if not isinstance(output, torch.Tensor) or output.shape[2:] != windows.shape[2:]:
        raise OtherOutput
    return output


def first(output: Any, windows: torch.Tensor) -> torch.Tensor:
    """Return the first tensor of a network's output, such as the finest of deep supervision.

    Raises
    ------
    InputError
        `NETWORK_BAD_OUTPUT`: it does not have scores for each voxel of `windows` (B, channels, …).
    """
    tensors = [each for each in tree_leaves(output) if isinstance(each, torch.Tensor)]
    size = "×".join(map(str, windows.shape[2:]))
    if not tensors:
        raise InputError("NETWORK_BAD_OUTPUT", f"the network gives {_kind(output)}; scores of {size} are needed")
    if tensors[0].shape[2:] != windows.shape[2:]:
        found = "×".join(map(str, tensors[0].shape[2:]))
        raise InputError(
            "NETWORK_BAD_OUTPUT",
            f"the network's first output has {found} voxels for a window of {size}; both must be equal, so put a "
            "layer that resamples behind it",
        )
    return tensors[0]


def _kind(output: Any) -> str:
    kind = "a mapping" if isinstance(output, Mapping) else f"a {type(output).__name__}"
    return f"{kind} without a tensor"
