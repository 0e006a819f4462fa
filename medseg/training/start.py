"""What a run starts from: random weights, or those of another model; and what of them stays as it is."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from medseg.bundle import read_state, weights_of
from medseg.errors import InputError, some
from medseg.networks import levels_from_input

log = logging.getLogger(__name__)


def start_network(
    network: torch.nn.Module,
    init_from: str | Path | None,
    *,
    freeze: int = 0,
    output_dir: str | Path,
    resume: bool = True,
) -> torch.nn.Module:
    """Return `network` with the weights it starts from.

    Parameters
    ----------
    init_from
        A bundle (folder or name), a run's folder or a file of weights; None for random weights. Tensors of other
        names or shapes, such as the last layer's where labels differ, keep their random values and are named in
        the log. A run that is resumed has its own weights, and does not look there.
    freeze
        How many levels of resolution, from the input on, are not trained.

    Raises
    ------
    InputError
        `WEIGHTS_MISSING`, `FILE_UNREADABLE`; `WEIGHTS_MISMATCH`: no tensor fits; `CONFIG_BAD_VALUE`: several
        models, or more levels than there are.
    """
    resumed = resume and (Path(output_dir) / "models" / "last.pt").is_file()
    if init_from is not None and not resumed:
        paths = weights_of(init_from)
        if len(paths) > 1:
            raise InputError(
                "CONFIG_BAD_VALUE", f"init_from {init_from} holds {len(paths)} models; give one of {some(paths)}"
            )
        fill(network, read_state(paths[0]), str(paths[0]))
    levels = levels_from_input(network) if freeze else []
    if freeze < 0 or (freeze and freeze >= len(levels)):
        raise InputError(
            "CONFIG_BAD_VALUE", f"freeze {freeze}: the network has {len(levels)} levels; freeze fewer of them"
        )
    for level in levels[:freeze]:
        level.requires_grad_(False)
    return network


def fill(network: torch.nn.Module, state: Mapping[str, Any], source: str) -> None:
    """Give `network` the tensors of `state` that fit it, and say in the log which ones do not.

    Raises
    ------
    InputError
        `WEIGHTS_MISMATCH`: none fits.
    """
    ours = network.state_dict()
    fitting = {name: value for name, value in state.items() if _shape(value) == _shape(ours.get(name))}
    if not fitting:
        raise InputError("WEIGHTS_MISMATCH", f"{source} has no tensor that fits the network; give other weights")
    network.load_state_dict(fitting, strict=False)
    log.info("starts from %s: %d of the network's %d tensors", source, len(fitting), len(ours))
    for name in sorted(set(ours) - set(fitting)):
        found = f"{_shape(state[name])} there" if name in state else "not there"
        log.info("starts at random: %s %s, %s", name, _shape(ours[name]), found)
    if unused := sorted(set(state) - set(ours)):
        log.info("not used: %s", some(unused))


def _shape(value: Any) -> tuple[int, ...] | None:
    return tuple(value.shape) if isinstance(value, torch.Tensor) else None
